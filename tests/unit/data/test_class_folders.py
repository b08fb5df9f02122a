"""Folders that could be classes are named with what to give --label-by; others are not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.data.class_folders import class_depth, pattern_of
from bench.data.path_patterns import match_paths
from bench.data.subjects import guess_all
from tests.unit.data.conftest import Open, grey_pictures, write_images


def depth(keys: list[str]) -> int | None:
    return class_depth(keys, guess_all(keys)[0])


def test_the_note_gives_what_label_by_takes(opened: Open, tmp_path: Path) -> None:
    pictures = grey_pictures(12)
    kinds = ("No_findings", "Pneumonia")
    named = {f"{kinds[i % 2]}/{name}": x for i, (name, x) in enumerate(pictures.items())}
    root = write_images(tmp_path / "xrays", named)
    cached = opened(root)
    note = "2 folders could be classes: give --label-by 'No_findings|Pneumonia'"
    assert note in cached.notes
    assert "could be classes" not in " ".join(cached.record_notes)
    assert "Pneumonia" not in json.dumps(cached.record())
    labelled = opened(root, label_by="No_findings|Pneumonia")
    assert labelled.label_names == kinds
    assert "could be classes" not in " ".join(labelled.notes)


@pytest.mark.parametrize(
    "keys",
    [
        ["a.png", "b.png", "c.png"],
        ["all/a.png", "all/b.png", "all/c.png"],
        [f"{part}/{name}.png" for part in ("train", "test") for name in "abc"],
        [f"{who}/frame_{k}.png" for who in ("anna", "bert") for k in range(3)],
        [f"kind{k}/{name}.png" for k in range(21) for name in "ab"],
        ["x/a.png", "x/b.png", "y/c.png"],
    ],
    ids=["none", "one", "parts", "subjects", "many", "a folder of one subject"],
)
def test_folders_that_are_no_classes_are_not_named(keys: list[str]) -> None:
    assert depth(keys) is None


@pytest.mark.parametrize(
    ("kinds", "pattern"),
    [
        (("cat", "cat (large)"), r"cat \(large\)|cat"),
        (("cat", "a"), "^[^/]+/([^/]+)/"),  # "a" is in "train" as well
    ],
)
def test_the_pattern_finds_the_folder_below_the_parts(kinds: tuple[str, ...], pattern: str) -> None:
    keys = [f"{part}/{k}/{n}.png" for part in ("train", "test") for k in kinds for n in "xy"]
    assert depth(keys) == 1
    assert pattern_of(keys, 1) == pattern
    assert match_paths(keys, pattern) == [key.split("/")[1] for key in keys]
