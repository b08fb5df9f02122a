"""Train, select and report: three parts of the data, no subject in two of them (contract 8).

Official parts are kept. Else subjects are dealt like cards: in the order of label and size
(frames), every five neighbours go three to train, one to select, one to report, which one to which
by a keyed hash of the name: no generator, no seed, the same on every machine. So every part has its
share of all subjects, to less than one; of every label, to less than 3 subjects and 4 times the
frames of its largest; and without labels of all frames, to less than twice those of the largest
subject. With fewer than three subjects, stretches of each subject's frames take the place of
subjects, and the notes say what such scores are worth.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from bench.data.readers.reader import PARTS, Part
from bench.data.subjects import hash_order
from bench.errors import BenchError

CARDS: dict[Part, int] = {"train": 3, "select": 1, "report": 1}  # of every five subjects
FEW_SUBJECTS = 10  # below this a part's scores hang on who is in it
_LABELS_SHOWN = 6


def assign(
    subjects: Sequence[str],
    official: Sequence[Part | None],
    labels: Sequence[int] | None = None,
    *,
    stills: bool = False,
) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """The part of every frame (its place in PARTS) and the notes to it.

    subjects, official, labels: one entry a frame. Labels (numbers of classes, negative: not known)
    only balance the parts. stills: frames are images of files of their own, to be called so.
    Raises BenchError when there are too few frames to make three parts of.
    """
    if len(subjects) < len(PARTS):
        raise BenchError(
            f"{len(subjects)} readable {_called(len(subjects), stills)} cannot make three parts; "
            f"give more files{_or_more_of_each(stills)}"
        )
    frames = Counter(subjects)
    label = _majority(subjects, labels) if labels is not None else {}
    notes: list[str] = []
    if any(part is not None for part in official):
        chosen, notes = _official(subjects, official, frames)
        _fill_missing(chosen, frames, label, notes)
    elif len(frames) < len(PARTS):
        return _stretches(subjects, frames, stills)
    else:
        chosen = _deal(frames, label, CARDS)
    if set(chosen.values()) != set(PARTS):
        raise BenchError(
            f"{len(frames)} subjects in the parts {', '.join(sorted(set(chosen.values())))} only; "
            "three parts need three subjects"
        )
    notes.extend(_few(chosen))
    notes.extend(_sizes(chosen, frames, label))
    codes = {subject: PARTS.index(part) for subject, part in chosen.items()}
    return np.array([codes[subject] for subject in subjects], np.uint8), tuple(notes)


def official_parts(subjects: Sequence[str], official: Sequence[Part | None]) -> dict[str, Part]:
    """The official part that most frames of a subject have; subjects without one are left out."""
    return {subject: vote.most_common(1)[0][0] for subject, vote in _votes(subjects, official)}


def _votes(
    subjects: Sequence[str], official: Sequence[Part | None]
) -> list[tuple[str, Counter[Part]]]:
    votes: dict[str, Counter[Part]] = {}
    for subject, part in zip(subjects, official, strict=True):
        if part is not None:
            votes.setdefault(subject, Counter())[part] += 1
    return list(votes.items())


def _majority(subjects: Sequence[str], labels: Sequence[int]) -> dict[str, int]:
    """The label of most frames of each subject, the lowest of equals; -1: not known."""
    votes: dict[str, Counter[int]] = {}
    for subject, label in zip(subjects, labels, strict=True):
        votes.setdefault(subject, Counter())[max(-1, int(label))] += 1
    return {s: min(vote, key=lambda name: (-vote[name], name)) for s, vote in votes.items()}


def _deal(
    frames: Mapping[str, int], label: Mapping[str, int], cards: Mapping[Part, int]
) -> dict[str, Part]:
    """A part for every subject of `frames`: cards[part] of every sum(cards) neighbours.

    Neighbours are alike: subjects stand by label (labels of fewer subjects than a hand together),
    then by frames, the largest first. The hand that is left at the end begins with a card of each
    part, so no part is empty, and none is off its share by a whole subject. A subject with more
    than half of all frames goes to the first part of `cards`, which is the largest.
    """
    deck = [*cards, *(part for part, n in cards.items() for _ in range(n - 1))]
    held = Counter(label.get(subject) for subject in frames)
    total = sum(frames.values())

    def stratum(subject: str) -> tuple[int, int]:
        is_rare = held[label.get(subject)] < len(deck)
        return is_rare, 0 if is_rare else label.get(subject, 0)

    def order(subject: str) -> bytes:
        return hash_order(subject, "deal the parts")

    line = sorted(frames, key=lambda s: (stratum(s), -frames[s], order(s)))
    chosen: dict[str, Part] = {}
    for start in range(0, len(line), len(deck)):
        hand = line[start : start + len(deck)]
        hand.sort(key=lambda s: (2 * frames[s] <= total, order(s)))
        chosen.update(zip(hand, deck, strict=False))
    return chosen


def _official(
    subjects: Sequence[str], official: Sequence[Part | None], frames: Counter[str]
) -> tuple[dict[str, Part], list[str]]:
    notes = []
    torn = sum(len(vote) > 1 for _, vote in _votes(subjects, official))
    if torn:
        notes.append(f"{torn} subjects sit in two official parts: moved to where most frames are")
    chosen = official_parts(subjects, official)
    loose = [subject for subject in frames if subject not in chosen]
    if loose:
        notes.append(f"{len(loose)} subjects have no official part: put into train")
        chosen.update(dict.fromkeys(loose, PARTS[0]))
    return chosen, notes


def _fill_missing(
    chosen: dict[str, Part], frames: Counter[str], label: Mapping[str, int], notes: list[str]
) -> None:
    """Deals the largest official part out anew to itself and to the parts that have none."""
    held = Counter(chosen.values())
    missing = [part for part in PARTS if not held[part]]
    sizes = {p: sum(frames[s] for s, q in chosen.items() if q == p) for p in held}
    source = max((p for p in PARTS if p in held), key=lambda p: (held[p] > 1, sizes[p]))
    if not missing or held[source] <= len(missing):
        return
    pool = {s: frames[s] for s, p in chosen.items() if p == source}
    chosen.update(_deal(pool, label, {part: CARDS[part] for part in (source, *missing)}))
    notes.extend(
        f"no readable subject in the official {part} part: made out of {source}" for part in missing
    )


def _stretches(
    subjects: Sequence[str], frames: Counter[str], stills: bool
) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """60/20/20 of each subject's frames, in order; a subject too short for it is train only."""
    codes = np.zeros(len(subjects), np.uint8)
    names = np.array(subjects)
    share = CARDS["report"] / sum(CARDS.values())
    for subject, count in frames.items():
        if count >= len(PARTS):
            where = np.flatnonzero(names == subject)
            fifth = max(1, round(count * share))
            codes[where[count - 2 * fifth : count - fifth]] = PARTS.index("select")
            codes[where[count - fifth :]] = PARTS.index("report")
    if len(set(codes.tolist())) < len(PARTS):
        raise BenchError(
            f"{len(subjects)} {_called(len(subjects), stills)} of {len(frames)} subjects cannot "
            f"make three parts; give more files{_or_more_of_each(stills)}"
        )
    note = (
        f"ONLY {len(frames)} SUBJECT{'S' * (len(frames) > 1)}: train, select and report are "
        "stretches of the same recordings; scores say nothing about new subjects, and copying "
        "train is rewarded (--group-by REGEX, if the files are of several subjects)"
    )
    return codes, (note,)


def _called(count: int, stills: bool) -> str:
    return ("image" if stills else "frame") + "s" * (count != 1)


def _or_more_of_each(stills: bool) -> str:
    return "" if stills else ", or read more of each (a smaller --every)"


def _few(chosen: dict[str, Part]) -> list[str]:
    held = Counter(chosen.values())
    few = [part for part in PARTS if held[part] < FEW_SUBJECTS]
    if not few:
        return []
    counts = ", ".join(f"{part} has {held[part]}" for part in few)
    return [f"few subjects: {counts}; scores depend on who is in which part"]


def _sizes(
    chosen: dict[str, Part], frames: Mapping[str, int], label: Mapping[str, int]
) -> list[str]:
    """Each part's subjects, frames a subject and, where there are labels, each label's share."""
    members = {part: [s for s, p in chosen.items() if p == part] for part in PARTS}
    notes = [
        "subjects in the parts: "
        + ", ".join(
            f"{part} {len(who)} ({sum(frames[s] for s in who) / len(who):.1f} frames each)"
            for part, who in members.items()
        )
    ]
    subjects = Counter(label.values())
    if len(subjects) > 1:
        shares = [
            f"{'unknown' if name < 0 else name} "
            + "/".join(
                f"{100 * sum(label[s] == name for s in who) / len(who):.0f}"
                for who in members.values()
            )
            for name, _ in subjects.most_common(_LABELS_SHOWN)
        ]
        more = f" and {len(subjects) - _LABELS_SHOWN} more" if len(subjects) > _LABELS_SHOWN else ""
        notes.append(f"subjects by class, % of {'/'.join(PARTS)}: {', '.join(shares)}{more}")
    return notes
