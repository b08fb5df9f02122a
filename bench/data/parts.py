"""Train, select and report: three parts of the data, no subject in two of them (contract 8).

Official parts are kept. Else subjects are dealt out by frame count, 60/20/20, equal counts in the
order of a hash of the subject's name: no generator, no seed, the same on every machine. With
fewer than three subjects, stretches of each subject's frames take the place of subjects, and the
notes say what such scores are worth.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.data.readers.reader import PARTS, Part
from bench.data.subjects import hash_order
from bench.errors import BenchError

SHARES: dict[Part, float] = {"train": 0.6, "select": 0.2, "report": 0.2}
FEW_SUBJECTS = 10  # below this a part's scores hang on who is in it


def assign(
    subjects: Sequence[str], official: Sequence[Part | None]
) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """The part of every frame (its place in PARTS) and the notes to it.

    subjects, official: one entry a frame. Raises BenchError when there are too few frames to make
    three parts of.
    """
    if len(subjects) < len(PARTS):
        raise BenchError(
            f"{len(subjects)} readable frames cannot make three parts; give more files, "
            "or read more of each (a smaller --every)"
        )
    frames = Counter(subjects)
    notes: list[str] = []
    if any(part is not None for part in official):
        chosen, notes = _official(subjects, official, frames)
        _fill_missing(chosen, frames, notes)
    elif len(frames) < len(PARTS):
        return _stretches(subjects, frames)
    else:
        chosen = _deal(frames, dict(SHARES))
    if set(chosen.values()) != set(PARTS):
        raise BenchError(
            f"{len(frames)} subjects in the parts {', '.join(sorted(set(chosen.values())))} only; "
            "three parts need three subjects"
        )
    notes.extend(_few(chosen))
    codes = {subject: PARTS.index(part) for subject, part in chosen.items()}
    return np.array([codes[subject] for subject in subjects], np.uint8), tuple(notes)


def _deal(frames: Counter[str], shares: dict[Part, float]) -> dict[str, Part]:
    """Every subject, largest first, to the part that lacks most frames of its share."""
    total = sum(frames.values())
    lacks = {part: share * total for part, share in shares.items()}
    empty = set(shares)
    chosen: dict[str, Part] = {}
    queue = sorted(frames, key=lambda subject: (-frames[subject], hash_order(subject)))
    for index, subject in enumerate(queue):
        # The last subjects go to parts that have none yet.
        open_to = empty if len(queue) - index <= len(empty) else set(shares)
        part = max((p for p in PARTS if p in open_to), key=lambda p: lacks[p])
        chosen[subject] = part
        lacks[part] -= frames[subject]
        empty.discard(part)
    return chosen


def _official(
    subjects: Sequence[str], official: Sequence[Part | None], frames: Counter[str]
) -> tuple[dict[str, Part], list[str]]:
    votes: dict[str, Counter[Part]] = {subject: Counter() for subject in frames}
    for subject, part in zip(subjects, official, strict=True):
        if part is not None:
            votes[subject][part] += 1
    notes = []
    torn = sum(len(vote) > 1 for vote in votes.values())
    if torn:
        notes.append(f"{torn} subjects sit in two official parts: moved to where most frames are")
    loose = Counter({subject: frames[subject] for subject, vote in votes.items() if not vote})
    chosen = {subject: vote.most_common(1)[0][0] for subject, vote in votes.items() if vote}
    if loose:
        notes.append(f"{len(loose)} subjects have no official part: put into train")
        chosen.update(dict.fromkeys(loose, "train"))
    return chosen, notes


def _fill_missing(chosen: dict[str, Part], frames: Counter[str], notes: list[str]) -> None:
    """Takes subjects out of the largest official part for a part that has none."""
    for part in PARTS:
        held = Counter(chosen.values())
        if held[part]:
            continue
        sizes = {p: sum(frames[s] for s, q in chosen.items() if q == p) for p in held}
        source = max((p for p in PARTS if sizes.get(p)), key=lambda p: (held[p] > 1, sizes[p]))
        if held[source] < 2:
            return
        pool = Counter({s: frames[s] for s, p in chosen.items() if p == source})
        share = SHARES[part] / (SHARES[part] + SHARES[source])
        chosen.update(_deal(pool, {source: 1 - share, part: share}))
        notes.append(f"no readable subject in the official {part} part: made out of {source}")


def _stretches(
    subjects: Sequence[str], frames: Counter[str]
) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """60/20/20 of each subject's frames, in order; a subject too short for it is train only."""
    codes = np.zeros(len(subjects), np.uint8)
    names = np.array(subjects)
    for subject, count in frames.items():
        if count >= len(PARTS):
            where = np.flatnonzero(names == subject)
            fifth = max(1, round(count * SHARES["report"]))
            codes[where[count - 2 * fifth : count - fifth]] = PARTS.index("select")
            codes[where[count - fifth :]] = PARTS.index("report")
    if len(set(codes.tolist())) < len(PARTS):
        raise BenchError(
            f"{len(subjects)} frames of {len(frames)} subjects cannot make three parts; give more "
            "files, or read more of each (a smaller --every)"
        )
    note = (
        f"ONLY {len(frames)} SUBJECT{'S' * (len(frames) > 1)}: train, select and report are "
        "stretches of the same recordings; scores say nothing about new subjects, and copying "
        "train is rewarded (--group-by REGEX, if the files are of several subjects)"
    )
    return codes, (note,)


def _few(chosen: dict[str, Part]) -> list[str]:
    held = Counter(chosen.values())
    few = [part for part in PARTS if held[part] < FEW_SUBJECTS]
    if not few:
        return []
    counts = ", ".join(f"{part} has {held[part]}" for part in few)
    return [f"few subjects: {counts}; scores depend on who is in which part"]
