"""One depth, one range, and no more frames than wanted: the second pass over decoded bytes.

Files of several depths become the widest among them, each from its own range to the common one.
Nothing is copied where nothing is to change, as in a set of 8-bit images.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.data.decoding import Decoded, FrameRecord
from bench.data.folder_scan import Note
from bench.data.reading import Reading
from bench.data.value_range import BYTE_RANGE, DTYPES, ValueRange, decide
from bench.errors import BenchError

_AT_ONCE = 1 << 22  # values in memory while a file is rewritten


@dataclass(kw_only=True)
class Unified:
    """Frames of one dtype and range; masks only if every frame has as many."""

    frames: list[FrameRecord]
    dtype: str
    value_range: ValueRange
    mask_count: int
    notes: list[Note]


def unify(
    decoded: Decoded, reading: Reading, frame_shape: Sequence[int], images: Path, masks: Path
) -> Unified:
    """Rewrites the files `images` and `masks` in place where they have to change.

    frame_shape: [C, *size] of every frame. Raises BenchError for a range without extent.
    """
    notes: list[Note] = []
    ranges: dict[str, ValueRange] = {}
    dtype = max(decoded.depths, key=DTYPES.index)
    for name, depth in decoded.depths.items():
        asked = reading.value_range if name == dtype else None
        ranges[name], text = decide(name, depth.seen, depth.stated, asked)
        if text is not None:
            notes.append(Note(text=text))
    low, high = ranges[dtype]
    if low >= high:
        raise BenchError("all pixels of the data are equal: nothing to learn from")
    counts = Counter(frame.dtype for frame in decoded.frames)
    if len(counts) > 1:
        text = ", ".join(f"{n} {name}" for name, n in counts.items())
        text = f"frames of several depths ({text}): all kept as {dtype}, each from its own range"
        notes.append(Note(text=text))
    keep = _evenly_spaced(decoded.frames, reading.max_frames_per_subject)
    mask_counts = Counter(frame.mask_count for frame in decoded.frames)
    mask_count = next(iter(mask_counts)) if len(mask_counts) == 1 else 0
    if len(mask_counts) > 1:
        have = sum(n for count, n in mask_counts.items() if count)
        text = f"masks left out: {have} of {len(keep)} images have some, or unlike numbers"
        notes.append(Note(text=text))
    seen = decoded.depths[dtype].seen
    # bicubic filtering takes 8-bit pixels beyond those of their files
    is_narrowed = dtype == "uint8" and ranges[dtype] != BYTE_RANGE
    is_outside = seen[0] < low or seen[1] > high or is_narrowed
    if len(counts) > 1 or is_outside or decoded.is_marked or not keep.all():
        outside = _rewrite_images(decoded.frames, keep, frame_shape, images, dtype, ranges)
        if outside:
            text = f"{outside:.2g} of all pixel values lie outside {low:g}..{high:g}: clipped"
            notes.append(Note(text=text))
    if mask_count and not keep.all():
        _rewrite_masks(keep, mask_count * int(np.prod(frame_shape[1:])), masks)
    if not mask_count:
        masks.unlink()
    return Unified(
        frames=[frame for frame, kept in zip(decoded.frames, keep, strict=True) if kept],
        dtype=dtype,
        value_range=ranges[dtype],
        mask_count=mask_count,
        notes=notes,
    )


def _rewrite_images(
    frames: list[FrameRecord],
    keep: NDArray[np.bool_],
    frame_shape: Sequence[int],
    path: Path,
    dtype: str,
    ranges: dict[str, ValueRange],
) -> float:
    """Converts, fills, clips and thins; the share of values that were clipped."""
    low, high = ranges[dtype]
    pixels = int(np.prod(frame_shape))
    outside = 0
    draft = path.with_suffix(".unified")
    with path.open("rb") as source, draft.open("wb") as target:
        for frame, kept in zip(frames, keep, strict=True):
            itemsize = np.dtype(frame.dtype).itemsize
            if not kept:
                source.seek(pixels * itemsize, 1)
                continue
            for start in range(0, pixels, _AT_ONCE):  # a volume may have 70 million of them
                raw = source.read(min(_AT_ONCE, pixels - start) * itemsize)
                values = np.frombuffer(raw, frame.dtype).astype(np.float64)
                if frame.dtype != dtype:
                    from_low, from_high = ranges[frame.dtype]
                    share = np.clip((values - from_low) / (from_high - from_low), 0, 1)
                    values = share * (high - low) + low
                values = np.where(np.isnan(values), low, values)
                outside += int(np.count_nonzero((values < low) | (values > high)))
                if dtype != "float32":
                    values = np.clip(np.rint(values), math.ceil(low), math.floor(high))
                target.write(np.clip(values, low, high).astype(dtype).tobytes())
    draft.replace(path)
    return outside / (pixels * int(keep.sum()))


def _rewrite_masks(keep: NDArray[np.bool_], size: int, path: Path) -> None:
    draft = path.with_suffix(".unified")
    with path.open("rb") as source, draft.open("wb") as target:
        for kept in keep:
            block = source.read(size)
            if kept:
                target.write(block)
    draft.replace(path)


def _evenly_spaced(frames: list[FrameRecord], most: int | None) -> NDArray[np.bool_]:
    """Which frames stay when each subject keeps at most `most`, spread over its frames."""
    counts = Counter(frame.subject for frame in frames)
    keep = np.ones(len(frames), bool)
    if most is None or max(counts.values()) <= most:
        return keep
    wanted = {
        name: set(np.linspace(0, n - 1, min(n, most)).round().astype(int).tolist())
        for name, n in counts.items()
    }
    position: Counter[str] = Counter()
    for index, frame in enumerate(frames):
        keep[index] = position[frame.subject] in wanted[frame.subject]
        position[frame.subject] += 1
    return keep
