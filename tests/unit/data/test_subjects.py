"""Subjects from the layout, from file names and from patterns."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from bench.data.readers.reader import Source
from bench.data.subjects import Grouping, group, guess, hash_order
from bench.errors import BenchError


def _group(keys: list[str], group_by: str | None = None) -> Grouping:
    return group([Source(key=key, path=Path(key)) for key in keys], group_by)


@pytest.mark.parametrize(
    "keys",
    [
        ("Reg_pat1Image_133043.mpeg", "Reg_pat1Image_133410.mpeg", "x/pat01.avi"),
        ("patient_12_a.png", "Patient-12/b.png", "12/patient 12.png"),
        ("sub-03/ses-1/img.png", "sub-3_T1.png"),
        ("scan_v1.mov", "scan_v5.mov", "scan.mov"),
        ("lung_file2.mp4", "lung_file11.mp4"),
        ("probe_mov5.mov", "probe_mov6.mov"),
        ("clip7/frame_0001.png", "clip7/frame_0002.png"),
        ("No/00001543_001.png", "Yes/00001543_004.png"),
        ("TCGA_CS_4941_19960909_10.tif", "TCGA_CS_4941_19960909_2.tif"),
        ("p0001_img2.png", "p0001_img11.png", "p0001.png"),
        ("x-day6.png", "x-day12.png", "x_day_3_slice07.png"),
        ("fig5-day0.png", "fig5-day14.png", "fig5 (2).png"),
        ("ward3_12.png", "ward3-7.png", "ward3_view2.png", "ward3_day2_4.png"),
    ],
)
def test_names_of_one_subject_are_joined(keys: tuple[str, ...]) -> None:
    assert len({guess(key) for key in keys}) == 1


@pytest.mark.parametrize(
    "keys",
    [
        ("pat1.avi", "pat11.avi", "pat2.avi"),
        ("Reg_Image_181206_crop.mp4", "Reg_Image_18122_crop.mp4"),
        ("a/scan_v1.mov", "b/scan_v1.mov"),
        ("IMG_0001.png", "IMG_0002.png"),
        ("spat1.png", "spat2.png"),
        ("00001543_001.png", "00001638_001.png"),
        ("raccoon-1.jpg", "raccoon-2.jpg"),
        ("benign (1).png", "benign (2).png"),
        ("1.png", "2.png"),
        ("img_1.png", "image2.png"),
        ("2007_000027.jpg", "2007_000032.jpg"),
        ("fig5-day0.png", "fig6-day0.png"),
        ("birthday3.png", "birthday4.png"),
    ],
)
def test_names_of_several_subjects_stay_apart(keys: tuple[str, ...]) -> None:
    assert len({guess(key) for key in keys}) == len(keys)


def test_guesses_are_said_with_examples_for_local_eyes() -> None:
    grouping = _group(["a_day1.png", "a_day2.png", "b.png", "c_day1.png", "c_day2.png", "c.png"])
    assert not grouping.stated
    assert "3 for 6 files, 5 of which share theirs" in grouping.notes[0]
    assert "_day" not in " ".join(grouping.notes)
    assert grouping.examples == (
        "guessed: a_day1.png, a_day2.png -> a; c_day1.png, c_day2.png and 1 more -> c",
    )
    assert _group(["a.avi", "b.avi"]).examples == ()


def test_no_more_than_a_few_examples_are_shown() -> None:
    grouping = _group([f"n{i}_day{j}.png" for i in range(20) for j in range(2)])
    assert grouping.examples[0].count(" -> ") == 3


@pytest.mark.parametrize(
    ("keys", "subjects"),
    [
        ([f"study7_{i}.png" for i in range(5)], 5),  # all files: nothing but the counter differs
        ([f"clip_{i}.avi" for i in range(5)], 5),
        ([f"covid_image_{i}.png" for i in range(40)] + [f"ok_image_{i}.png" for i in range(9)], 41),
        ([f"p{i}_img{j}.png" for i in range(10) for j in range(20)], 10),  # a tenth each
        ([f"2017_{i}.png" for i in range(12)] + [f"x{i}.png" for i in range(28)], 40),
        ([f"2017_{i}.png" for i in range(8)] + [f"x{i}.png" for i in range(8)], 9),  # so few may
        ([f"frame_{i}.png" for i in range(50)], 1),  # by its word one recording
        ([f"scan_day{i}.png" for i in range(50)], 1),
    ],
)
def test_a_counter_behind_a_common_stem_tells_subjects_apart(
    keys: list[str], subjects: int
) -> None:
    grouping = _group(keys)
    assert len(set(grouping.subjects)) == subjects
    set_aside = [note for note in grouping.notes if "differ in a counter only" in note]
    assert bool(set_aside) == (subjects > 10 or subjects == 5)


def test_what_the_layout_states_is_not_guessed() -> None:
    array = Source(key="x.npz/images", path=Path("x.npz"), frame_subjects=("1", "2"))
    named = Source(key="clip_1.avi", path=Path("clip_1.avi"), subject="ann")
    assert group([array, named], None) == Grouping(
        subjects=(None, "ann"), notes=(), examples=(), stated=True
    )
    mixed = group([array, named, Source(key="b.png", path=Path("b.png"))], None)
    assert mixed.subjects == (None, "ann", "b")
    assert not mixed.stated


def test_group_by_takes_group_one_or_the_whole_match() -> None:
    keys = ["s7-a.png", "s7-b.png", "s8-a.png"]
    assert len(set(_group(keys, r"^s(\d)").subjects)) == 2
    assert len(set(_group(keys, r"^s\d").subjects)) == 2
    assert _group(keys, r"^s\d").stated


def test_group_by_counts_files_it_does_not_match() -> None:
    grouping = _group(["s7.png", "other.png", "more.png"], r"s\d")
    assert len(set(grouping.subjects)) == 3
    assert "in 2 of 3 files" in grouping.notes[0]


def test_arrays_cannot_be_grouped_by_path() -> None:
    array = Source(key="x.npz/images", path=Path("x.npz"), frame_subjects=("1",))
    with pytest.raises(BenchError, match="'subjects' array"):
        group([array], "x")


def test_orders_of_two_purposes_have_nothing_in_common() -> None:
    names = [f"s{i}" for i in range(200)]
    one, other = (sorted(names, key=partial(hash_order, purpose=p)) for p in ("deal", "draw"))
    assert one != other
    # Equal places in two unrelated orders of 200: one on average.
    assert sum(a == b for a, b in zip(one, other, strict=True)) < 8


def test_names_need_not_be_utf8() -> None:
    assert len(hash_order("bad\udcff_1")) == 8
