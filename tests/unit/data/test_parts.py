"""Three parts by subject: shares, guarantees, official splits, too few subjects."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from bench.data.parts import assign
from bench.data.readers.reader import PARTS, Part
from bench.errors import BenchError


def _deal(frames: dict[str, int]) -> tuple[dict[str, set[str]], np.ndarray, tuple[str, ...]]:
    subjects = [name for name, n in frames.items() for _ in range(n)]
    codes, notes = assign(subjects, [None] * len(subjects))
    owners = {
        part: {s for s, code in zip(subjects, codes, strict=True) if code == index}
        for index, part in enumerate(PARTS)
    }
    return owners, codes, notes


@pytest.mark.parametrize("seed", range(5))
def test_shares_are_balanced_and_no_subject_is_in_two_parts(seed: int) -> None:
    rng = np.random.default_rng(seed)
    frames = {f"s{i}": int(n) for i, n in enumerate(rng.integers(1, 60, 40))}
    owners, codes, _ = _deal(frames)
    assert sum(map(len, owners.values())) == len(set.union(*owners.values())) == 40
    # 2 %: the largest-first rule ends within its last, smallest subjects of the share.
    assert np.bincount(codes) / len(codes) == pytest.approx([0.6, 0.2, 0.2], abs=0.02)


@pytest.mark.parametrize("sizes", [(1000, 1, 1), (10, 10, 10), (1, 1, 1), (500, 400, 1, 1)])
def test_each_part_has_a_subject(sizes: tuple[int, ...]) -> None:
    owners, _, notes = _deal({f"s{i}": n for i, n in enumerate(sizes)})
    assert all(owners.values())
    assert "few subjects" in notes[0]


def test_order_of_frames_and_process_do_not_matter() -> None:
    frames = {f"s{i}": 5 for i in range(30)}
    owners = _deal(frames)[0]
    assert owners == _deal(dict(reversed(frames.items())))[0]
    # The deal of the first version: a change of it moves subjects between parts.
    golden = ["s13", "s16", "s19", "s2", "s21", "s22"]
    assert sorted(owners["report"]) == golden


def test_two_subjects_become_stretches_and_it_is_said_loudly() -> None:
    _, codes, notes = _deal({"a": 10, "b": 20})
    assert codes.tolist() == [0] * 6 + [1] * 2 + [2] * 2 + [0] * 12 + [1] * 4 + [2] * 4
    assert "ONLY 2 SUBJECTS" in notes[0]
    assert "ONLY 1 SUBJECT:" in _deal({"a": 3})[2][0]


@pytest.mark.parametrize("frames", [{"a": 2}, {"a": 2, "b": 2}, {}])
def test_too_few_frames_are_an_error(frames: dict[str, int]) -> None:
    with pytest.raises(BenchError, match="three parts"):
        _deal(frames)


def _official(rows: list[tuple[str, Part | None]]) -> tuple[dict[str, int], tuple[str, ...]]:
    codes, notes = assign([s for s, _ in rows], [p for _, p in rows])
    chosen = {s: int(code) for (s, _), code in zip(rows, codes, strict=True)}
    for (s, _), code in zip(rows, codes, strict=True):
        assert chosen[s] == code, "a subject sits in two parts"
    return chosen, notes


def test_official_parts_are_kept() -> None:
    chosen, _ = _official([("a", "train"), ("b", "select"), ("c", "report"), ("d", "train")])
    assert chosen == {"a": 0, "b": 1, "c": 2, "d": 0}


def test_a_subject_in_two_official_parts_goes_to_one() -> None:
    rows: list[tuple[str, Part | None]] = [
        ("a", "train"), ("a", "report"), ("a", "report"), ("b", "train"), ("c", "select"),
    ]  # fmt: skip
    chosen, notes = _official(rows)
    assert chosen["a"] == 2
    assert "1 subjects sit in two official parts" in notes[0]


@pytest.mark.parametrize("missing", [("select",), ("report",), ("select", "report"), ("train",)])
def test_a_missing_official_part_is_made_out_of_the_largest(missing: tuple[Part, ...]) -> None:
    given = [part for part in PARTS if part not in missing]
    rows: list[tuple[str, Part | None]] = [
        (f"{part}{i}", part) for part in given for i in range(20)
    ]
    chosen, notes = _official(rows)
    counts = Counter(chosen.values())
    assert set(counts) == {0, 1, 2}
    assert sum("made out of" in note for note in notes) == len(missing)
    assert min(counts.values()) >= 4  # a fifth of 20
    if len(given) == 2:  # one gives, the other keeps all of its own
        kept = Counter(s[:5] for s in chosen if s.startswith(PARTS[chosen[s]]))
        assert max(kept.values()) == 20


def test_official_parts_that_cannot_be_completed_are_an_error() -> None:
    with pytest.raises(BenchError, match="three parts need three subjects"):
        assign(["a", "a", "b"], ["train", "train", "select"])
