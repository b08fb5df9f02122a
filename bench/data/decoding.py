"""Decodes the planned sources, frame by frame, into the bytes of a cache.

Holds one frame and the per-frame bookkeeping. Whether the set is grey or colour is decided first,
from a look at some frames, so that every frame is decoded once and straight into its mode.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from bench.data.readers.reader import Mode, Part, Reader, Source, UnreadableError
from bench.data.resize import is_coloured, to_square
from bench.data.subjects import hash_order

PROBED = 64  # sources looked at to decide between grey and colour
GREY_SHARE = 0.95  # of the probed sources: with fewer grey ones the set is kept in colour

T = TypeVar("T")
Progress = Callable[[int, int], None]


@dataclass(kw_only=True)
class Plan:
    """What will be decoded, and what is already to be said. `said`: (note, note for records)."""

    sources: list[Source]
    subjects: list[str | None]
    skipped: list[tuple[str, str]]
    said: list[str]
    stated: bool
    fingerprint: str
    digest: str
    partial: list[tuple[str, str]] = field(default_factory=list)


def colour_mode(plan: Plan, reader: Reader) -> tuple[Mode, str]:
    """Grey or colour, from three frames each of up to PROBED evenly spaced sources."""
    step = max(1, len(plan.sources) // PROBED)
    looked = coloured = 0
    for source in plan.sources[::step][:PROBED]:
        try:
            frames = reader.frames(source, every=15, mode="RGB", warn=lambda _: None)
            found = [is_coloured(frame) for frame in islice(frames, 3)]
        except UnreadableError:
            continue
        looked += bool(found)
        coloured += any(found)
    grey = coloured <= (1 - GREY_SHARE) * looked
    if grey and coloured:
        plan.said.append(f"{coloured} of {looked} files looked at have colour: all kept as grey")
    return ("L" if grey else "RGB"), f"{coloured} of {looked} files looked at have colour"


@dataclass(kw_only=True)
class Read:
    subjects: list[str] = field(default_factory=list)  # one a frame
    official: list[Part | None] = field(default_factory=list)
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)


def decode(
    plan: Plan,
    reader: Reader,
    settings: dict[str, Any],
    mode: Mode,
    out: Path,
    progress: Progress | None,
) -> Read:
    read = Read()
    most = settings["max_subjects"]
    with out.open("wb") as stream:
        for done, (source, name) in enumerate(zip(plan.sources, plan.subjects, strict=True)):
            if progress is not None:
                progress(done, len(plan.sources))
            given = 0
            kept = _thinned(source, most, len(plan.sources))
            warnings: list[str] = []
            try:
                for index, frame in enumerate(
                    reader.frames(source, every=settings["every"], mode=mode, warn=warnings.append)
                ):
                    owner = name or (source.frame_subjects or ())[index]
                    if kept is not None and owner not in kept:
                        continue
                    stream.write(to_square(frame, settings["resolution"]).tobytes())
                    read.subjects.append(owner)
                    read.official.append(source.part)
                    read.sizes[(frame.shape[0], frame.shape[1])] += 1
                    given += 1
            except UnreadableError as error:
                if given:
                    warnings.append(str(error))
                else:
                    plan.skipped.append((source.key, str(error)))
            if given and warnings:
                plan.partial.append((source.key, "; ".join(dict.fromkeys(warnings))))
        if progress is not None:
            progress(len(plan.sources), len(plan.sources))
    return _cap(read, settings["max_frames_per_subject"], out)


def _thinned(source: Source, most: int | None, sources: int) -> set[str] | None:
    """The subjects of an array that stay under max_subjects; None: all of them."""
    if most is None or source.frame_subjects is None:
        return None
    names = sorted(set(source.frame_subjects), key=hash_order)
    return set(names[: max(1, most // sources)])


def _cap(read: Read, most: int | None, out: Path) -> Read:
    """Keeps at most `most` evenly spaced frames of each subject, in memory and on disk."""
    frames = Counter(read.subjects)
    if most is None or not frames or max(frames.values()) <= most:
        return read
    seen: Counter[str] = Counter()
    keep = np.zeros(len(read.subjects), bool)
    wanted = {name: _spread(count, most) for name, count in frames.items()}
    for index, name in enumerate(read.subjects):
        keep[index] = seen[name] in wanted[name]
        seen[name] += 1
    size = out.stat().st_size // len(keep)
    with out.open("rb") as source, out.with_suffix(".capped").open("wb") as target:
        for kept in keep:
            block = source.read(size)
            if kept:
                target.write(block)
    out.with_suffix(".capped").replace(out)
    return Read(
        subjects=_chosen(read.subjects, keep),
        official=_chosen(read.official, keep),
        sizes=read.sizes,
    )


def _spread(count: int, most: int) -> set[int]:
    return set(np.linspace(0, count - 1, min(count, most)).round().astype(int).tolist())


def _chosen(items: Sequence[T], keep: NDArray[np.bool_]) -> list[T]:
    return [item for item, kept in zip(items, keep, strict=True) if kept]
