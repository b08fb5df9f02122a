"""Patches of cached volumes, cut out of the memory map: only their own bytes are read from disk.

In C order the last axis of a patch is contiguous; a row of it is one run of bytes. The operating
system reads whole pages, so what a patch costs is counted in runs and in the pages they touch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.cache import CachedImages
from bench.errors import BenchError

PAGE_BYTES = 4096


@dataclass(frozen=True, kw_only=True)
class Patch:
    """image: [C, *size] at the cache's own depth; masks: uint8 [M, *size], None without masks."""

    image: NDArray[Any]
    masks: NDArray[np.uint8] | None


@dataclass(frozen=True, kw_only=True)
class PatchBytes:
    """What reading one patch touches, of images and masks together."""

    needed: int  # bytes of the patch itself
    runs: int  # contiguous stretches of them
    paged: int  # bytes of the pages in which these lie
    volume: int  # bytes of the whole volume, for comparison


def cut_patch(cached: CachedImages, row: int, start: Sequence[int], size: Sequence[int]) -> Patch:
    """The part of image `row` from `start` on, `size` along each spatial axis; new arrays.

    Raises BenchError for a patch that is larger than the volume or reaches beyond it.
    """
    part = (slice(None), *_slices(cached.images.shape[2:], start, size))
    masks = cached.masks
    return Patch(
        image=np.array(cached.images[row][part]),
        masks=None if masks is None else np.array(masks[row][part]),
    )


def patch_bytes(
    cached: CachedImages, row: int, start: Sequence[int], size: Sequence[int]
) -> PatchBytes:
    """What `cut_patch` with these arguments reads. Raises BenchError as it does."""
    parts = _slices(cached.images.shape[2:], start, size)
    arrays = [a for a in (cached.images, cached.masks) if a is not None]
    touched = [_touched(array.shape, array.dtype.itemsize, row, parts) for array in arrays]
    volume = sum(int(np.prod(array.shape[1:])) * array.dtype.itemsize for array in arrays)
    needed, runs, paged = (sum(column) for column in zip(*touched, strict=True))
    return PatchBytes(needed=needed, runs=runs, paged=paged, volume=volume)


def _slices(
    volume: tuple[int, ...], start: Sequence[int], size: Sequence[int]
) -> tuple[slice, ...]:
    text, of = ("x".join(map(str, sides)) for sides in (size, volume))
    if len(size) != len(volume) or len(start) != len(volume):
        raise BenchError(f"a patch of {text} from volumes of {of}: give {len(volume)} sides")
    if min(size) < 1 or any(side > whole for side, whole in zip(size, volume, strict=True)):
        raise BenchError(
            f"a patch of {text} does not fit into volumes of {of}; give 1 to as many voxels along "
            "each axis, or read larger volumes with --size"
        )
    ends = [at + side for at, side in zip(start, size, strict=True)]
    if min(start) < 0 or any(end > whole for end, whole in zip(ends, volume, strict=True)):
        at = ", ".join(map(str, start))
        raise BenchError(f"a patch of {text} at {at} reaches beyond volumes of {of}")
    return tuple(slice(at, end) for at, end in zip(start, ends, strict=True))


def _touched(
    shape: tuple[int, ...], itemsize: int, row: int, parts: tuple[slice, ...]
) -> tuple[int, int, int]:
    """(bytes, runs, bytes of pages) of one patch in an array [N, channels, *spatial]."""
    spatial = shape[2:]
    lengths = [part.stop - part.start for part in parts]
    # Axes that are taken whole, from the last one on, lengthen a run.
    merged = len(spatial) - 1
    while merged > 0 and lengths[merged] == spatial[merged]:
        merged -= 1
    strides = [int(np.prod(spatial[axis + 1 :])) for axis in range(len(spatial))]
    run = lengths[merged] * strides[merged] * itemsize
    offsets = np.array([parts[merged].start * strides[merged]], np.int64)
    for axis in range(merged):
        along = np.arange(parts[axis].start, parts[axis].stop) * strides[axis]
        offsets = np.add.outer(offsets, along).ravel()
    channels = (row * shape[1] + np.arange(shape[1])) * int(np.prod(spatial))
    offsets = np.sort(np.add.outer(offsets, channels).ravel()) * itemsize
    # Runs that touch are one: those of whole channels.
    runs = 1 + int(np.count_nonzero(np.diff(offsets) != run))
    first, last = offsets // PAGE_BYTES, (offsets + run - 1) // PAGE_BYTES
    pages = int((last - first + 1).sum()) - int(np.count_nonzero(first[1:] == last[:-1]))
    return run * len(offsets), runs, pages * PAGE_BYTES
