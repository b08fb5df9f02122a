"""Decodes the planned sources, frame by frame, into the bytes of a cache.

Holds one frame and the per-frame bookkeeping. Whether the set is grey or colour is decided first,
from a look at some frames, so that every frame is decoded once and straight into its mode. Frames
are written at their own depth; `bench.data.unifying` makes one depth of several.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np

from bench.data.boxes import cut_to_box
from bench.data.fitting import fitted, fitted_masks, fitted_spacing, is_coloured
from bench.data.folder_scan import Note
from bench.data.readers.reader import Frame, Mode, Part, Reader, Source, UnreadableError
from bench.data.reading import Reading
from bench.data.subjects import hash_order
from bench.data.value_range import DTYPES, ValueRange

PROBED = 64  # sources looked at to decide between grey and colour
GREY_SHARE = 0.95  # of the probed sources: with fewer grey ones the set is kept in colour

Progress = Callable[[int, int], None]


@dataclass(kw_only=True)
class Plan:
    """What will be decoded, and what is already to be said."""

    sources: list[Source]
    subjects: list[str | None]
    labels: list[str | None]  # of whole sources; arrays have one for each frame
    vector_names: tuple[str, ...]
    mask_names: tuple[str, ...]
    skipped: list[tuple[str, str]]
    notes: list[Note]
    subjects_stated: bool
    fingerprint: str
    digest: str
    partial: list[tuple[str, str]] = field(default_factory=list)
    clipped_boxes: list[str] = field(default_factory=list)  # keys of their sources


def colour_mode(plan: Plan, reader: Reader) -> tuple[Mode, str]:
    """Grey or colour, from three frames each of up to PROBED evenly spaced sources.

    Volumes, whose channels are stated, are not looked at.
    """
    if plan.sources[0].channels is not None:
        return "L", "stated by the arrays"
    step = max(1, len(plan.sources) // PROBED)
    looked = coloured = 0
    for source in plan.sources[::step][:PROBED]:
        try:
            frames = reader.frames(source, every=15, mode="RGB", warn=lambda _: None)
            verdicts = [is_coloured(frame.pixels) for frame in islice(frames, 3)]
        except UnreadableError:
            continue
        looked += bool(verdicts)
        coloured += any(verdicts)
    grey = coloured <= (1 - GREY_SHARE) * looked
    if grey and coloured:
        text = f"{coloured} of {looked} files looked at have colour: all kept as grey"
        plan.notes.append(Note(text=text))
    return ("L" if grey else "RGB"), f"{coloured} of {looked} files looked at have colour"


@dataclass(kw_only=True)
class FrameRecord:
    """What is known of one frame that was written."""

    subject: str
    official: Part | None
    size: tuple[int, ...]  # in its file, without channels; of the cut where it was cut to a box
    dtype: str
    mask_count: int
    label: str | None
    vector: tuple[float, ...] | None
    spacing: tuple[float, ...] | None  # mm, at the size that was written
    highest_class: int  # of its masks
    labelled: int  # voxels of a class other than 0 in its file,
    labels_cut: int  # and how many of them a cut about the centre left out
    clipped: float


@dataclass(kw_only=True)
class Depth:
    """What the files of one dtype say and hold of their range."""

    seen: ValueRange
    stated: set[ValueRange] = field(default_factory=set)

    def include(self, low: float, high: float, stated: ValueRange | None) -> None:
        self.seen = min(self.seen[0], low), max(self.seen[1], high)
        if stated is not None:
            self.stated.add(stated)


@dataclass(kw_only=True)
class Decoded:
    """The frames in the order in which they were written, and the depths among them."""

    frames: list[FrameRecord] = field(default_factory=list)
    depths: dict[str, Depth] = field(default_factory=dict)
    is_marked: bool = False  # NaN stands where the range's lowest value is to go


def decode(
    plan: Plan,
    reader: Reader,
    reading: Reading,
    mode: Mode,
    images_path: Path,
    masks_path: Path,
    progress: Progress | None,
) -> Decoded:
    """Writes all frames to images_path, masks of those that have some to masks_path."""
    decoded = Decoded()
    with images_path.open("wb") as images, masks_path.open("wb") as masks:
        for done, source in enumerate(plan.sources):
            if progress is not None:
                progress(done, len(plan.sources))
            given = 0
            kept = _thinned(source, reading.max_subjects, len(plan.sources))
            warnings: list[str] = []
            try:
                for index, frame in enumerate(
                    reader.frames(source, every=reading.every, mode=mode, warn=warnings.append)
                ):
                    if source.box is not None:
                        cut = cut_to_box(frame, source.box, reading)
                        frame, is_clipped = cut.frame, cut.is_clipped
                        if is_clipped and source.key not in plan.clipped_boxes[-1:]:
                            plan.clipped_boxes.append(source.key)
                    record = _record(plan, done, index, frame, reading)
                    if kept is not None and record.subject not in kept:
                        continue
                    fill = _fill(frame, reading)
                    decoded.is_marked |= reading.fit != "crop" and math.isnan(fill)
                    images.write(fitted(frame.pixels, reading.size, reading.fit, fill).tobytes())
                    if frame.masks is not None:
                        small = fitted_masks(frame.masks, reading.size, reading.fit)
                        masks.write(small.tobytes())
                        record.highest_class = int(frame.masks.max())
                        record.labelled = int(np.count_nonzero(frame.masks))
                        if reading.fit == "centre":
                            record.labels_cut = record.labelled - int(np.count_nonzero(small))
                    _note_depth(decoded, frame)
                    decoded.frames.append(record)
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
    return decoded


def _record(plan: Plan, place: int, index: int, frame: Frame, reading: Reading) -> FrameRecord:
    source, dtype = plan.sources[place], frame.pixels.dtype.name
    assert dtype in DTYPES, f"a reader gave {dtype} pixels"
    if dtype == "float32" and not np.isfinite(frame.pixels).all():
        raise UnreadableError("pixels that are not finite")
    name = plan.subjects[place]
    labels = source.frame_labels
    size, spacing = frame.pixels.shape[: len(reading.size)], frame.spacing
    if spacing is not None:
        spacing = fitted_spacing(spacing, size, reading.size, reading.fit)
    return FrameRecord(
        subject=name if name is not None else (source.frame_subjects or ())[index],
        official=source.part,
        size=size,
        dtype=dtype,
        mask_count=0 if frame.masks is None else len(frame.masks),
        label=plan.labels[place] if labels is None else labels[index],
        vector=source.vector,
        spacing=spacing,
        highest_class=0,
        labelled=0,
        labels_cut=0,
        clipped=frame.clipped,
    )


def _note_depth(decoded: Decoded, frame: Frame) -> None:
    low, high = float(frame.pixels.min()), float(frame.pixels.max())
    depth = decoded.depths.setdefault(frame.pixels.dtype.name, Depth(seen=(low, high)))
    depth.include(low, high, frame.stated_range)
    if frame.background is not None:
        depth.include(frame.background, frame.background, None)


def _fill(frame: Frame, reading: Reading) -> float:
    """What goes around a padded image: the range's low value, where it is known by now.

    Floating-point pixels without a background are marked with NaN, which `unifying` replaces.
    """
    if frame.background is not None:
        return frame.background
    if frame.pixels.dtype.kind == "f":
        return float("nan")
    return 0.0 if reading.value_range is None else max(0.0, round(reading.value_range[0]))


def _thinned(source: Source, most: int | None, sources: int) -> set[str] | None:
    """The subjects of an array that stay under max_subjects; None: all of them."""
    if most is None or source.frame_subjects is None:
        return None
    names = sorted(set(source.frame_subjects), key=hash_order)
    return set(names[: max(1, most // sources)])
