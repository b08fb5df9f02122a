"""Three parts by subject: shares, guarantees, official splits, too few subjects."""

from __future__ import annotations

import hashlib
import re
from collections import Counter

import numpy as np
import pytest
from scipy.stats import chi2_contingency

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


SHARE = {"train": 0.6, "select": 0.2, "report": 0.2}


def _heavy_tail(n: int, seed: int) -> dict[str, int]:
    """Frames a subject, 1 to some hundreds: most have few, a few have most."""
    sizes = np.random.default_rng(seed).pareto(1.1, n) + 1
    return {f"s{i}": min(400, int(size)) for i, size in enumerate(sizes)}


@pytest.mark.parametrize("n", [3, 4, 5, 6, 7, 8, 9, 23, 300, 301, 304])
@pytest.mark.parametrize("seed", range(3))
def test_every_part_has_its_share_of_subjects_and_of_frames(n: int, seed: int) -> None:
    frames = _heavy_tail(n, seed)
    owners, codes, _ = _deal(frames)
    assert sum(map(len, owners.values())) == len(set.union(*owners.values())) == n
    for index, part in enumerate(PARTS):
        assert owners[part]
        assert abs(len(owners[part]) - SHARE[part] * n) < 1
        off = abs(np.sum(codes == index) - SHARE[part] * len(codes))
        # The bound that the module states; a giant of more than half is train's by rule.
        assert off < 2 * max(frames.values())


def test_several_visits_are_spread_over_the_parts() -> None:
    frames = {f"p{i}": 2 + i % 5 if i % 4 == 0 else 1 for i in range(660)}  # 165 with more
    owners, _, notes = _deal(frames)
    several = {part: sum(frames[s] > 1 for s in who) for part, who in owners.items()}
    assert several == {"train": 99, "select": 33, "report": 33}
    means = [sum(frames[s] for s in owners[part]) / len(owners[part]) for part in PARTS]
    assert means == pytest.approx([1.75] * 3, abs=0.05)
    assert (
        "subjects in the parts: " + ", ".join(
            f"{part} {len(owners[part])} ({mean:.1f} frames each)"
            for part, mean in zip(PARTS, means, strict=True)
        )
        in notes
    )  # fmt: skip


def _with_labels(
    frames: dict[str, int], label: dict[str, int]
) -> tuple[dict[str, set[str]], tuple[str, ...]]:
    subjects = [name for name, n in frames.items() for _ in range(n)]
    codes, notes = assign(subjects, [None] * len(subjects), [label[s] for s in subjects])
    pairs = set(zip(subjects, codes.tolist(), strict=True))
    assert len(pairs) == len(frames)
    return {part: {s for s, code in pairs if PARTS[code] == part} for part in PARTS}, notes


@pytest.mark.parametrize("seed", range(4))
def test_every_part_has_its_share_of_every_label(seed: int) -> None:
    rng = np.random.default_rng(seed)
    frames = _heavy_tail(500, seed)
    label = {s: int(rng.choice(3, p=[0.7, 0.25, 0.05])) for s in frames}
    owners, notes = _with_labels(frames, label)
    table = [[sum(label[s] == name for s in owners[part]) for part in PARTS] for name in range(3)]
    assert sum(map(sum, table)) == 500
    for name, row in zip(range(3), table, strict=True):
        members = [s for s in frames if label[s] == name]
        for part, count in zip(PARTS, row, strict=True):
            assert abs(count - SHARE[part] * len(members)) < 3
            share = SHARE[part] * sum(frames[s] for s in members)
            off = abs(sum(frames[s] for s in members if s in owners[part]) - share)
            assert off < 4 * max(frames[s] for s in members)
    # Dealt at random, the statistic would exceed 0.71 with probability .95 (4 degrees of freedom).
    assert chi2_contingency(table).statistic < 0.71
    shares = "/".join(
        f"{100 * n / len(owners[part]):.0f}" for n, part in zip(table[1], PARTS, strict=True)
    )
    assert f" 1 {shares}" in notes[-1]
    assert notes[-1].startswith("subjects by class, % of train/select/report: 0 ")


def test_labels_of_single_subjects_do_not_undo_the_strata_of_size() -> None:
    frames = _heavy_tail(300, 7)
    owners, notes = _with_labels(frames, {s: i for i, s in enumerate(frames)})
    assert owners == _deal(frames)[0]
    assert notes[-1].endswith(" and 294 more")


def test_a_subject_has_the_label_of_most_of_its_frames() -> None:
    subjects = [f"s{i}" for i in range(50) for _ in range(3)]
    mixed = [label for i in range(50) for label in ((1, 1, -1), (-9, 1, -1), (0, 2, 1))[i % 3]]
    plain = [(1, -1, 0)[i % 3] for i in range(50) for _ in range(3)]
    none: list[Part | None] = [None] * 150
    codes, notes = assign(subjects, none, mixed)
    assert codes.tolist() == assign(subjects, none, plain)[0].tolist()
    assert re.search(r"1 3\d/[34]\d/[34]\d, unknown 3\d/", notes[-1])


def test_a_giant_is_in_train() -> None:
    for i in range(12):
        frames = {f"s{j}": 1000 if j == i else 1 + j for j in range(12)}
        assert f"s{i}" in _deal(frames)[0]["train"]


def test_official_parts_show_their_labels() -> None:
    parts: list[Part | None] = ["train"] * 4 + ["select"] * 2 + ["report"] * 2
    _, notes = assign([f"s{i}" for i in range(8)], parts, [0, 0, 0, 1, 0, 0, 1, 1])
    assert notes[-1] == "subjects by class, % of train/select/report: 0 75/100/0, 1 25/0/100"


@pytest.mark.parametrize("sizes", [(1000, 1, 1), (10, 10, 10), (1, 1, 1), (500, 400, 1, 1)])
def test_each_part_has_a_subject(sizes: tuple[int, ...]) -> None:
    owners, _, notes = _deal({f"s{i}": n for i, n in enumerate(sizes)})
    assert all(owners.values())
    assert "few subjects" in notes[0]


def test_order_of_frames_and_process_do_not_matter() -> None:
    frames = {f"s{i}": 5 for i in range(30)}
    owners = _deal(frames)[0]
    assert owners == _deal(dict(reversed(frames.items())))[0]
    # Of equals, every hand's third in the order of the hash is for report.
    line = sorted(
        frames,
        key=lambda s: hashlib.blake2b(s.encode(), digest_size=8, key=b"deal the parts").digest(),
    )
    assert owners["report"] == set(line[2::5])
    # A change of this moves subjects between parts: raise cache.FORMAT with it.
    golden = ["s2", "s20", "s29", "s3", "s4", "s9"]
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
    if len(given) == 1:
        assert sorted(counts.values()) == [4, 4, 12]
    assert min(counts.values()) >= 4  # a fifth of 20
    if len(given) == 2:  # one gives, the other keeps all of its own
        kept = Counter(s[:5] for s in chosen if s.startswith(PARTS[chosen[s]]))
        assert max(kept.values()) == 20


@pytest.mark.parametrize(
    ("subjects", "stills", "words"),
    [
        (["a", "b"], True, "2 readable images cannot make three parts; give more files$"),
        (["a"], False, r"1 readable frame cannot .* more of each \(a smaller --every\)$"),
        (["a", "a", "b", "b"], True, "4 images of 2 subjects cannot .*; give more files$"),
        (["a", "a", "b", "b"], False, r"4 frames of 2 subjects .* \(a smaller --every\)$"),
    ],
)
def test_too_few_are_called_what_they_are(subjects: list[str], stills: bool, words: str) -> None:
    with pytest.raises(BenchError, match=words):
        assign(subjects, [None] * len(subjects), stills=stills)


def test_official_parts_that_cannot_be_completed_are_an_error() -> None:
    with pytest.raises(BenchError, match="three parts need three subjects"):
        assign(["a", "a", "b"], ["train", "train", "select"])
