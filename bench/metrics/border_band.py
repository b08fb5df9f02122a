"""The band along the borders of patches: where an answer put together of tiles shows its seams.

Patches of `patch` voxels begin every `stride` voxels, the last one flush with the end of the
volume. A border is a plane between two voxels where a patch begins or ends inside the volume; the
band is all voxels within `width` of one, on both sides.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError

Sizes = int | Sequence[int]  # of all axes alike, or of each


def patch_starts(side: int, patch: int, stride: int) -> list[int]:
    """Where patches begin that cover `side` voxels, ascending from 0.

    Raises:
        BenchError: a patch longer than the side, or a stride that leaves voxels out.
    """
    if not 1 <= patch <= side:
        raise BenchError(
            f"a patch must have 1 to {side} voxels, as many as the volume; got {patch}"
        )
    if not 1 <= stride <= patch:
        raise BenchError(
            f"patches of {patch} voxels need a stride of 1 to {patch} to leave none out; got "
            f"{stride}"
        )
    return sorted({*range(0, side - patch, stride), side - patch})


def border_band(
    spatial: Sequence[int], patch: Sizes, width: int, stride: Sizes | None = None
) -> NDArray[np.bool_]:
    """bool [*spatial]: voxels within `width` of a patch's border.

    Args:
        spatial: sides of the volume, 2D or 3D.
        patch: sides of a patch. An axis with a patch as long as the volume has no border.
        width: voxels on each side of a border.
        stride: from patch to patch; None is the patch, without overlap.

    Raises:
        BenchError: as `patch_starts`; a width below 1; a patch as large as the volume.
    """
    if width < 1:
        raise BenchError(f"a band has a width of at least 1 voxel, got {width}")
    patches = _each(patch, len(spatial), "patch")
    strides = patches if stride is None else _each(stride, len(spatial), "stride")
    if list(patches) == list(spatial):
        raise BenchError(f"a patch as large as the volume, {list(spatial)}, has no border in it")
    band = np.zeros(tuple(spatial), bool)
    for axis, (side, long, step) in enumerate(zip(spatial, patches, strides, strict=True)):
        starts = patch_starts(side, long, step)
        borders = {*starts, *(start + long for start in starts)} - {0, side}
        near = np.zeros(side, bool)
        for border in borders:
            near[max(border - width, 0) : border + width] = True
        band |= near.reshape(-1, *(1,) * (len(spatial) - axis - 1))
    return band


def _each(sizes: Sizes, dims: int, what: str) -> tuple[int, ...]:
    if isinstance(sizes, int):
        return (sizes,) * dims
    if len(sizes) != dims:
        raise BenchError(f"{what} must have {dims} sides, got {list(sizes)}")
    return tuple(sizes)
