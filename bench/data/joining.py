"""Joins subjects that hold near copies of each other's pictures, so that no copy is in two parts.

Pairs come from `bench.data.near_copies`; subjects that they link become one. Chains are watched:
where the links would make one subject of more than GROUP_SHARE of all, pictures of this kind are
alike without being copies, and the next higher correlation of LEVELS is asked for among them. What
is still that large at the last level shows one picture (a title, a test card): such subjects are
left apart, and that is said, unless all their pictures are copies. Official parts are a protocol,
which is not changed here: subjects of two official parts are never joined, but how many are near
copies is said.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.near_copies import NEAR, Pairs, near_pairs, short_vectors
from bench.data.parts import official_parts
from bench.data.readers.reader import PARTS, Part

LEVELS = (NEAR, 0.995, 0.998, 0.999, 0.9999)
GROUP_SHARE = 0.2  # of all subjects: more of them in one are too many,
GROUP_LEAST = 3  # but so many may always be one
MOST_LINKS = 2_000_000  # between subjects; beyond, the next level is asked for
MOST_WAITING = 500_000  # pairs of pictures kept before they are reduced to links
EXAMPLES = 3


@dataclass(frozen=True, kw_only=True)
class Joined:
    """One subject name a picture, after joining.

    notes: without names, for records too. examples: with subjects' names, for local eyes only.
    """

    subjects: list[str]
    notes: tuple[str, ...]
    examples: tuple[str, ...]


@dataclass(kw_only=True)
class _Links:
    """The best correlation of every two subjects that hold near copies, descending.

    picture: each picture's best correlation with one of a subject that it may be joined with.
    """

    a: NDArray[np.int64]
    b: NDArray[np.int64]
    correlation: NDArray[np.float32]
    picture: NDArray[np.float32]
    level: float = NEAR
    cut: bool = False  # there were so many that the search was broken off

    def add(self, a: NDArray[np.int64], b: NDArray[np.int64], r: NDArray[np.float32]) -> None:
        """Keeps the best of each two subjects; with too many links, those of a higher level."""
        low = np.concatenate([self.a, np.minimum(a, b)])
        high = np.concatenate([self.b, np.maximum(a, b)])
        r = np.concatenate([self.correlation, r])
        order = np.lexsort((high, low, -r))
        pair = low[order] * (int(high.max(initial=0)) + 1) + high[order]
        best = order[np.sort(np.unique(pair, return_index=True)[1])]
        self.a, self.b, self.correlation = low[best], high[best], r[best]

        for level in LEVELS:
            if len(self.a) > MOST_LINKS and level > self.level:
                near = self.correlation >= level
                self.a, self.b, self.correlation = (
                    self.a[near],
                    self.b[near],
                    self.correlation[near],
                )
                self.level = level
        self.cut = len(self.a) > MOST_LINKS


def join_near_copies(
    images: NDArray[Any],
    subjects: Sequence[str],
    official: Sequence[Part | None],
    value_range: Sequence[float] = (0, 255),
) -> Joined:
    """Subjects after joining, and what is to be said of it.

    images: [N, C, *spatial], values within value_range; subjects, official: one entry a picture.
    """
    names = sorted(set(subjects))
    place = {name: index for index, name in enumerate(names)}
    code = np.array([place[name] for name in subjects], np.int64)
    chosen = official_parts(subjects, official)
    part = np.array([PARTS.index(chosen[n]) if n in chosen else -1 for n in names], np.int64)
    short = short_vectors(images, value_range)
    notes = []
    if flat := len(images) - len(short.compared):
        notes.append(f"{flat} images are too nearly constant to be looked at for near copies")
    links = _gather(near_pairs(images, code, short), code, part)
    if links.cut:
        notes.append(f"more than {MOST_LINKS:,} pairs of subjects are near copies: not all joined")
    copied = np.ones(len(names), np.float32)
    np.minimum.at(copied, code[short.compared], links.picture[short.compared])
    leader, asked = _groups(links, copied >= LEVELS[-1], part)
    alone = np.bincount(leader, minlength=len(names))[leader] == 1
    if left_apart := int((np.isinf(asked) & alone).sum()):
        notes.append(
            f"NEAR COPIES: {left_apart} of {len(names)} subjects share a picture with another of "
            "them; too many to be one subject, they were left apart: look for a title or test "
            "card, or state the subjects with --group-by"
        )
    if not alone.all():
        copies = links.picture >= np.minimum(asked, LEVELS[-1])[code]
        pictures, became = int((copies & ~alone[code]).sum()), len(set(leader[~alone]))
        notes.append(
            f"near copies (thumbnails correlate at {NEAR:g} or more): {pictures} images of "
            f"{int((~alone).sum())} subjects; these became {became} subject{'s' * (became > 1)}"
        )
    raised = np.isfinite(asked) & (asked > NEAR)
    if raised.any():
        notes.append(
            f"{int(raised.sum())} subjects look alike without being copies: more than a fifth of "
            f"all would have become one, so among them up to {asked[raised].max():g} was asked for"
        )
    notes.extend(_across(links, part))
    return Joined(
        subjects=[names[leader[c]] for c in code],
        notes=tuple(notes),
        examples=_examples(links, leader, names),
    )


def _gather(portions: Iterable[Pairs], code: NDArray[np.int64], part: NDArray[np.int64]) -> _Links:
    none = np.empty(0, np.int64)
    links = _Links(
        a=none, b=none, correlation=np.empty(0, np.float32),
        picture=np.zeros(len(code), np.float32),
    )  # fmt: skip
    waiting: list[Pairs] = []

    def add_waiting() -> None:
        first = np.concatenate([pairs.first for pairs in waiting])
        second = np.concatenate([pairs.second for pairs in waiting])
        links.add(code[first], code[second], np.concatenate([p.correlation for p in waiting]))
        waiting.clear()

    for pairs in portions:
        one = ~_apart(part[code[pairs.first]], part[code[pairs.second]])
        for end in (pairs.first, pairs.second):
            np.maximum.at(links.picture, end[one], pairs.correlation[one])
        waiting.append(pairs)
        if sum(len(p.first) for p in waiting) > MOST_WAITING:
            add_waiting()
        if links.cut:
            break
    if waiting:
        add_waiting()
    return links


def _apart(one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether two subjects have two different official parts (-1: none)."""
    return np.asarray((one >= 0) & (other >= 0) & (one != other))


def _groups(
    links: _Links, whole: NDArray[np.bool_], part: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The first subject of each subject's group, and the correlation asked for to be in one.

    whole: subjects all of whose pictures are copies. The correlation is infinite where a group was
    too large at every level: of it only whole subjects stay together.
    """
    most = max(GROUP_LEAST, GROUP_SHARE * len(part))
    asked = np.full(len(part), links.level)
    certain = (links.correlation >= LEVELS[-1]) & whole[links.a] & whole[links.b]
    for level in (*(level for level in LEVELS if level > links.level), np.inf, None):
        wanted = links.correlation >= np.maximum(asked[links.a], asked[links.b])
        leader = _union(links, wanted | certain, part)
        too_large = np.bincount(leader, minlength=len(part))[leader] > most
        if level is None or not too_large.any():
            break
        asked[too_large] = level
    return leader, asked


def _union(links: _Links, wanted: NDArray[np.bool_], part: NDArray[np.int64]) -> NDArray[np.int64]:
    """The first subject of each subject's group by the `wanted` links, nearest copies first.

    A group takes the official part of any of its subjects, and never two.
    """
    leader = list(range(len(part)))
    held = part.tolist()

    def first(index: int) -> int:
        while leader[index] != index:
            leader[index] = leader[leader[index]]
            index = leader[index]
        return index

    for a, b in zip(links.a[wanted].tolist(), links.b[wanted].tolist(), strict=True):
        low, high = sorted((first(a), first(b)))
        if held[low] < 0 or held[high] < 0 or held[low] == held[high]:
            leader[high] = low
            held[low] = max(held[low], held[high])
    return np.array([first(index) for index in range(len(part))], np.int64)


def _across(links: _Links, part: NDArray[np.int64]) -> list[str]:
    one, other = part[links.a], part[links.b]
    apart = _apart(one, other)
    low, high = np.minimum(one, other)[apart], np.maximum(one, other)[apart]
    pairs = Counter(zip(low.tolist(), high.tolist(), strict=True))
    counts = ", ".join(f"{n} in {PARTS[a]} and {PARTS[b]}" for (a, b), n in sorted(pairs.items()))
    if not counts:
        return []
    return [f"NEAR COPIES ACROSS OFFICIAL PARTS, kept as they are: {counts} (pairs of subjects)"]


def _examples(links: _Links, leader: NDArray[np.int64], names: Sequence[str]) -> tuple[str, ...]:
    joins = leader[links.a] == leader[links.b]
    shown = [
        f"{names[links.a[i]]} = {names[links.b[i]]} ({links.correlation[i]:.4f})"
        for i in np.flatnonzero(joins)[:EXAMPLES]
    ]
    return ("; ".join(shown),) if shown else ()
