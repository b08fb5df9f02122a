"""What is said of frames' sizes: which one suits them, and what came of those that differ."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.data.decoding import FrameRecord
from bench.data.folder_scan import Note
from bench.data.readers.reader import Source
from bench.data.reading import Reading
from bench.errors import BenchError

_MULTIPLE = 8  # sizes are suggested in multiples of this: a network halves them three times
CLIPPED_SHARE = 1e-3  # of an object's voxels; more than this is said
_SPREAD = 0.01  # spacings further apart than this share are said to differ


def check_shapes(sources: Sequence[Source], reading: Reading) -> None:
    """All sources are images, or volumes of as many channels, and the size is one for them.

    Raises BenchError where they are not, with the sizes found and one that holds them all.
    """
    kinds = {(source.dims, source.channels) for source in sources}
    if len(kinds) > 1:
        raise BenchError(
            "images and volumes, or volumes of several channel counts, in one data set; choose "
            "files of one kind with --include GLOB"
        )
    ((dims, _),) = kinds
    if dims != len(reading.size):
        wanted = "volumes: give the size as DxHxW" if dims == 3 else "images: give the size as HxW"
        raise BenchError(
            f"size {reading.size_text} is not for these data, {wanted} (--size)"
            + _that_holds_all(sources)
        )


def _that_holds_all(sources: Sequence[Source]) -> str:
    sizes = [source.size for source in sources if source.size is not None]
    if not sizes:
        return ""
    smallest, largest = np.min(sizes, axis=0), np.max(sizes, axis=0)
    found = _text(smallest) if (smallest == largest).all() else f"{_text(smallest)} to "
    found += "" if (smallest == largest).all() else _text(largest)
    whole = _text(-(-largest // _MULTIPLE) * _MULTIPLE)
    return f"; they are {found}, which --size {whole} --fit centre holds whole"


def _text(size: Sequence[int] | NDArray[np.int64]) -> str:
    return "x".join(str(int(side)) for side in size)


def size_notes(frames: Sequence[FrameRecord], reading: Reading) -> list[Note]:
    """How many frames were enlarged, cut or padded to come to the size."""
    if reading.fit == "centre":
        return _centre_notes(frames, reading)
    notes = []
    small = sum(any(a < b for a, b in zip(f.size, reading.size, strict=True)) for f in frames)
    if small:
        text = f"{small} frames are smaller than {reading.size_text}: enlarged"
        notes.append(Note(text=text))
    other = sum(not _has_aspect(f.size, reading.size) for f in frames)
    if other:
        done = {
            "crop": "their centre was cut out (--fit pad keeps all of it)",
            "pad": "padded with the range's lowest value (--fit crop cuts out the centre)",
        }[reading.fit]
        notes.append(
            Note(text=f"{other} frames have another aspect than {reading.size_text}: {done}")
        )
    return notes


def _centre_notes(frames: Sequence[FrameRecord], reading: Reading) -> list[Note]:
    sizes = np.array([frame.size for frame in frames])
    wanted = np.array(reading.size)
    notes = []
    for what, differs in (("cut", sizes > wanted), ("padded", sizes < wanted)):
        if count := int(differs.any(axis=1).sum()):
            text = (
                f"{count} frames were {what} about their centre to {reading.size_text}, without "
                f"resizing; they are {_text(sizes.min(axis=0))} to {_text(sizes.max(axis=0))}"
            )
            notes.append(Note(text=text))
    cut = [frame.labels_cut for frame in frames if frame.labels_cut]
    if cut:
        share = 100 * sum(cut) / sum(frame.labelled for frame in frames)
        text = (
            f"{sum(cut)} labelled voxels of {len(cut)} frames ({share:.2g} % of all that are "
            f"labelled) lie outside the cut; "
            f"--size {_text(-(-sizes.max(axis=0) // _MULTIPLE) * _MULTIPLE)} would keep them"
        )
        notes.append(Note(text=text))
    return notes


def voxel_notes(frames: Sequence[FrameRecord]) -> list[Note]:
    """What is to be said of voxels' values and spacing."""
    notes = []
    clipped = np.array([frame.clipped for frame in frames])
    if clipped.mean() > CLIPPED_SHARE:
        text = (
            f"{100 * clipped.mean():.2g} % of the voxels of the objects (at most "
            f"{100 * clipped.max():.2g} % of one) lie beyond 4 standard deviations: clipped"
        )
        notes.append(Note(text=text))
    known = np.array([frame.spacing for frame in frames if frame.spacing is not None])
    if 0 < len(known) < len(frames):
        text = f"the spacing of {len(frames) - len(known)} of {len(frames)} frames is not known"
        notes.append(Note(text=text))
    if len(known) and (known.max(axis=0) > (1 + _SPREAD) * known.min(axis=0)).any():
        low, high = ("x".join(f"{s:.3g}" for s in f(known, axis=0)) for f in (np.min, np.max))
        text = f"voxels of several sizes, {low} to {high} mm: one network sees them as equal"
        notes.append(Note(text=text))
    return notes


def _has_aspect(source: tuple[int, ...], size: tuple[int, ...]) -> bool:
    """Whether one scale brings every axis to within a pixel of the size."""
    scale = min(side / length for side, length in zip(size, source, strict=True))
    return all(side - scale * length < 1 for side, length in zip(size, source, strict=True))


def size_summary(frames: Sequence[FrameRecord]) -> dict[str, tuple[int, ...]]:
    """The smallest, the median and the largest size, by the number of pixels."""
    sizes = sorted((frame.size for frame in frames), key=lambda size: (int(np.prod(size)), size))
    return {"min": sizes[0], "median": sizes[len(sizes) // 2], "max": sizes[-1]}
