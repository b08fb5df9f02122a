"""Where training patches lie in a volume: keyed by sample, more often in its middle.

As PatchDDM's authors place them: along each axis the first voxel is the sum of two uniform whole
numbers, of 0..a and of 0..b with a + b voxels of room and a a quarter of it, so that a patch in the
middle is likelier than one at the border, and every voxel is seen.
"""

from __future__ import annotations

from collections.abc import Sequence

from bench.streams import stream

NARROW = 0.25  # of the room, in the first of the two draws


def patch_start(
    whole: Sequence[int], patch: Sequence[int], sample: int, seed: int
) -> tuple[int, ...]:
    """The first voxel of a sample's patch along each axis."""
    draw = stream(seed, "patch", sample)
    starts = []
    for side, length in zip(whole, patch, strict=True):
        room = side - length
        narrow = round(room * NARROW)
        starts.append(int(draw.integers(0, narrow + 1) + draw.integers(0, room - narrow + 1)))
    return tuple(starts)
