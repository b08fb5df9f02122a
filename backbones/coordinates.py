"""Where a patch lies in its volume, as channels that a network reads beside the patch.

PatchDDM (Bieder et al. 2023, arXiv 2303.15288): one channel for each axis, rising linearly over
the whole volume from -1 in its first voxel to 1 in its last, cut as the patch is cut.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def coordinates(
    whole: Sequence[int], start: Sequence[int] | None = None, size: Sequence[int] | None = None
) -> Tensor:
    """Coordinates of a patch: float32 [d, *size] in [-1, 1], channel i along axis i.

    whole: the sides of the volume (or picture). start: the patch's first voxel, by default the
    volume's. size: the sides of the patch, by default all that follows `start`. Along a side of
    one voxel the coordinate is -1. Only what the patch needs is made.

    Raises:
        ValueError: sides that are no sides, or a patch that is not all inside the volume.
    """
    start = [0] * len(whole) if start is None else start
    if size is None:
        size = [side - first for side, first in zip(whole, start, strict=False)]
    if not len(whole) == len(start) == len(size) > 0:
        raise ValueError(
            "whole, start and size need one number for each axis, not "
            f"{len(whole)}, {len(start)} and {len(size)}"
        )
    for axis, (side, first, length) in enumerate(zip(whole, start, size, strict=True)):
        if not (first >= 0 and length >= 1 and first + length <= side):
            raise ValueError(
                f"a patch from {first} of {length} voxels is not inside a volume of {side} "
                f"(axis {axis}); move it, or pad the volume"
            )
    axes = [
        torch.linspace(-1, 1, side, device="cpu", dtype=torch.float32)[first : first + length]
        for side, first, length in zip(whole, start, size, strict=True)
    ]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"))
