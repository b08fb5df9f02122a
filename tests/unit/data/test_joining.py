"""Joining subjects by near copies: pairs, chains, title cards, official parts, what is said."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import zoom

from bench.data import joining
from bench.data.joining import Joined, join_near_copies
from bench.data.opening import open_data
from bench.data.readers.reader import Part
from bench.data.reading import Reading
from bench.data.simulate_echo import SimulationSize

Images = NDArray[np.uint8]


def _pictures(n: int, seed: int = 0) -> Images:
    """Pictures that have little to do with each other: uint8 [n, 1, 32, 32]."""
    grids = np.random.default_rng(seed).uniform(0, 255, (n, 8, 8))
    return zoom(grids, (1, 4, 4), order=1).astype(np.uint8)[:, None]


def _chain(n: int, correlation: float, seed: int = 9) -> Images:
    """Each correlates so with the next, and the less with others the farther they are."""
    # cos of equal angles between neighbours on a circle in the plane of two unlike pictures.
    a, b = (p.astype(float) - p.mean() for p in _pictures(2, seed))
    b = b - a * (a * b).sum() / (a * a).sum()
    b *= np.linalg.norm(a) / np.linalg.norm(b)
    angle = np.arccos(correlation)
    scale = 60 / a.std()
    points = [a * np.cos(i * angle) + b * np.sin(i * angle) for i in range(n)]
    return np.clip(128 + scale * 0.6 * np.stack(points), 0, 255).round().astype(np.uint8)


def _join(
    images: Images, subjects: list[str] | None = None, official: list[Part | None] | None = None
) -> Joined:
    names = [f"s{i:03d}" for i in range(len(images))] if subjects is None else subjects
    return join_near_copies(images, names, official or [None] * len(images))


def _sets(joined: Joined) -> set[frozenset[int]]:
    return {
        frozenset(np.flatnonzero(np.array(joined.subjects) == name).tolist())
        for name in set(joined.subjects)
        if joined.subjects.count(name) > 1
    }


def test_equal_rows_and_near_copies_are_joined_and_counted() -> None:
    images = _pictures(40)
    images[7] = images[3]
    images[20] = np.clip(images[11] * 0.9 + 9, 0, 255)
    images[30] = images[7]
    joined = _join(images)
    assert _sets(joined) == {frozenset({3, 7, 30}), frozenset({11, 20})}
    assert joined.subjects[30] == "s003"
    assert len(joined.notes) == 1
    assert "5 images of 5 subjects; these became 2 subjects" in joined.notes[0]
    assert "s003 = s007 (1.0000)" in joined.examples[0]
    assert "s003" not in joined.notes[0]


def test_without_near_copies_nothing_changes_and_nothing_is_said() -> None:
    names = [f"s{i % 10}" for i in range(40)]
    assert _join(_pictures(40), names) == Joined(subjects=names, notes=(), examples=())
    assert _join(_pictures(1)).notes == ()
    still = np.repeat(_pictures(1), 8, axis=0)  # a recording in which nothing moves
    assert _join(still, ["a"] * 8).notes == ()


def test_one_common_frame_joins_two_recordings() -> None:
    images = _pictures(40)
    images[12] = images[1]
    names = [f"clip{i // 4}" for i in range(40)]
    joined = _join(images, names)
    assert joined.subjects == ["clip0" if name == "clip3" else name for name in names]
    assert joined.notes[0].endswith("2 images of 2 subjects; these became 1 subject")


def test_a_short_chain_is_one_subject() -> None:
    images = np.concatenate([_pictures(30), _chain(4, 0.993)])
    assert _sets(_join(images)) == {frozenset({30, 31, 32, 33})}


def test_pictures_that_are_all_alike_are_joined_at_a_higher_level_only() -> None:
    images = np.concatenate([_chain(30, 0.993), _pictures(30)])
    images[35] = images[34]
    images[59] = images[20]
    joined = _join(images)
    assert _sets(joined) == {frozenset({34, 35}), frozenset({20, 59})}
    assert "4 images of 4 subjects; these became 2 subjects" in joined.notes[0]
    assert "among them up to 0.995 was asked for" in joined.notes[1]


def test_a_title_card_joins_nobody_and_it_is_said() -> None:
    images = _pictures(60)
    names = [f"clip{i // 4:02d}" for i in range(60)]
    images[0:40:4] = images[0]  # the first frame of ten of fifteen clips
    images[59] = images[50]
    joined = _join(images, names)
    assert joined.subjects == ["clip12" if name == "clip14" else name for name in names]
    assert any("NEAR COPIES: 10 of 15 subjects share a picture" in note for note in joined.notes)


def test_copies_as_a_whole_are_joined_however_many() -> None:
    images = _pictures(20)
    images[:12] = images[0]
    assert _sets(_join(images)) == {frozenset(range(12))}
    clips = np.tile(_pictures(3), (6, 1, 1, 1))
    assert set(_join(clips, [f"c{i // 3}" for i in range(18)]).subjects) == {"c0"}


def test_official_parts_are_never_bridged() -> None:
    images = _pictures(30)
    parts: list[Part | None] = ["train"] * 15 + ["select"] * 5 + ["report"] * 5 + [None] * 5
    images[1] = images[0]  # train, train
    images[16] = images[2]  # train, select
    images[25] = images[20]  # no part, report
    images[26] = images[17] = images[3]  # no part, select, train
    joined = _join(images, official=parts)
    assert {frozenset({0, 1}), frozenset({20, 25})} < _sets(joined)
    for group in _sets(joined):
        assert len({parts[i] for i in group} - {None}) == 1
    assert any("kept as they are: 2 in train and select" in note for note in joined.notes)
    first = _join(images[[3, 17, 26]], official=[None, "train", "select"])
    assert _sets(first) == {frozenset({0, 1})}
    only = _join(images[[2, 16, 4]], official=["train", "select", "report"])
    assert len(set(only.subjects)) == 3
    assert len(only.notes) == 1


def test_the_order_of_pictures_does_not_matter() -> None:
    images = np.concatenate([_chain(12, 0.991), _pictures(20), _chain(5, 0.996, seed=5)])
    names = [f"s{i}" for i in range(len(images))]
    there = dict(zip(names, _join(images, names).subjects, strict=True))
    back = dict(zip(names[::-1], _join(images[::-1], names[::-1]).subjects, strict=True))
    assert there == back


def test_flat_pictures_are_counted() -> None:
    images = np.concatenate([_pictures(5), np.full((6, 1, 32, 32), 77, np.uint8)])
    joined = _join(images)
    assert len(set(joined.subjects)) == 11
    assert joined.notes == ("6 images are too nearly constant to be looked at for near copies",)


def test_endless_links_are_cut_and_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joining, "MOST_LINKS", 50)
    monkeypatch.setattr(joining, "MOST_WAITING", 10)
    alike = _join(np.repeat(_pictures(1), 30, axis=0))
    assert any("more than 50 pairs of subjects" in note for note in alike.notes)
    images = np.concatenate([_chain(30, 0.9985), _pictures(30)])
    assert not any("not all" in note for note in _join(images).notes)


def test_equal_rows_of_an_array_end_in_one_part(tmp_path: Path) -> None:
    images = _pictures(60).squeeze()
    for i in range(0, 60, 2):
        images[i + 1] = images[i]
    np.savez(tmp_path / "secret.npz", images=images)
    cached = open_data(
        tmp_path / "secret.npz", Reading(size=(32, 32)), workload_reader="echonet", home=tmp_path,
        simulated=SimulationSize(),
    )  # fmt: skip
    assert sum(cached.subjects.values()) == 30
    for indices in cached.parts.values():
        assert {index ^ 1 for index in indices.tolist()} == set(indices.tolist())
    assert "60 images of 60 subjects; these became 30 subjects" in " ".join(cached.record_notes)
    assert "secret" not in json.dumps(cached.record())
    (named,) = [note for note in cached.notes if "secret" in note]
    assert named.startswith("near copies: secret.npz/images/")
    assert "near copies: " not in named.removeprefix("near copies: ")


def test_simulated_patients_are_nobodys_near_copies(tmp_path: Path) -> None:
    cached = open_data(
        None, Reading(size=(16, 16)), workload_reader="echonet", home=tmp_path,
        simulated=SimulationSize(patients=24, frames=10),
    )  # fmt: skip
    assert sum(cached.subjects.values()) == 24
    assert "near copies" not in " ".join(cached.notes).lower()
