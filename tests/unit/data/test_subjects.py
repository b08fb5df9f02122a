"""Subjects from names and patterns; and that copies never part."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.data.readers.reader import Source
from bench.data.subjects import Grouping, group, guess
from bench.errors import BenchError


def _group(keys: list[str], group_by: str | None = None, **same: str) -> Grouping:
    sources = [Source(key=key, path=Path(key)) for key in keys]
    return group(sources, group_by, {key: same.get(Path(key).stem, key) for key in keys})


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
    ],
)
def test_names_of_several_subjects_stay_apart(keys: tuple[str, ...]) -> None:
    assert len({guess(key) for key in keys}) == len(keys)


def test_guessed_subjects_are_said() -> None:
    grouping = _group(["a.avi", "b.avi"])
    assert not grouping.stated
    assert "guessed" in grouping.notes[0]
    assert "2 for 2 files" in grouping.notes[0]


def test_group_by_takes_group_one_or_the_whole_match() -> None:
    keys = ["s7-a.png", "s7-b.png", "s8-a.png"]
    assert len(set(_group(keys, r"^s(\d)").subjects)) == 2
    assert len(set(_group(keys, r"^s\d").subjects)) == 2
    assert _group(keys, r"^s\d").stated


def test_group_by_counts_files_it_does_not_match() -> None:
    grouping = _group(["s7.png", "other.png", "more.png"], r"s\d")
    assert len(set(grouping.subjects)) == 3
    assert "in 2 of 3 files" in grouping.notes[0]


def test_group_by_that_cannot_work_is_an_error() -> None:
    with pytest.raises(BenchError, match="no regular expression"):
        _group(["a.png"], "(")
    with pytest.raises(BenchError, match="matches none of the 1 paths"):
        _group(["a.png"], "patient")
    array = Source(key="x.npz/images", path=Path("x.npz"), frame_subjects=("1",))
    with pytest.raises(BenchError, match="subjects"):
        group([array], "x", {array.key: ""})


def test_copies_share_a_subject_even_against_a_pattern() -> None:
    grouping = _group(["s1.png", "s2.png", "s3.png"], r"s(\d)", s1="same", s3="same")
    assert grouping.subjects[0] == grouping.subjects[2] != grouping.subjects[1]
    assert "1 files are copies" in grouping.notes[-1]
