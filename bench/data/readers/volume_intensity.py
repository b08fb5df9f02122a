"""Intensities of a volume on one scale: z-scores over the object, within [-1, 1].

MR intensities have no unit: each scan is measured against its own object (the brain). Of the voxels
inside, mean and standard deviation are taken; values become (x - mean) / (4 sd), clipped to
[-1, 1], so 4 standard deviations either way are kept. Around the object it is -1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.readers.reader import UnreadableError
from bench.data.value_range import ValueRange

MOST_SD = 4.0
RANGE: ValueRange = (-1.0, 1.0)
BACKGROUND = -1.0
SURROUND_SHARE = 0.01  # of a volume's voxels at its lowest value: with more, that is what surrounds


@dataclass(frozen=True, kw_only=True)
class Normalised:
    """values: float32 in [-1, 1], of the shape given. clipped: the share of the voxels inside that
    lie further than 4 standard deviations from their mean."""

    values: NDArray[np.float32]
    clipped: float


def normalised(voxels: NDArray[Any], inside: NDArray[np.bool_]) -> Normalised:
    """z-scores over `inside`, which has the voxels' shape.

    Raises UnreadableError where there is nothing inside, or no contrast in it.
    """
    of = voxels[inside].astype(np.float64)
    if not of.size:
        raise UnreadableError("nothing in it: no voxel lies above the background")
    mean, sd = float(of.mean()), float(of.std())
    if sd <= 1e-9 * max(1.0, abs(mean)):
        raise UnreadableError(f"no contrast in it: all voxels are {mean:g}")
    scaled = (of - mean) / (MOST_SD * sd)
    values = np.full(voxels.shape, BACKGROUND, np.float32)
    values[inside] = np.clip(scaled, *RANGE)
    return Normalised(values=values, clipped=float(np.mean(np.abs(scaled) > 1)))


def object_of(voxels: NDArray[Any]) -> NDArray[np.bool_]:
    """Where the object is in a volume of any kind: bool, of its shape.

    A constant surround (air set to 0 or to -1024, a stripped skull) is the lowest value, in more
    than SURROUND_SHARE of the voxels; without one, all of the volume is the object.
    """
    above = voxels > voxels.min()
    if above.size - np.count_nonzero(above) <= SURROUND_SHARE * above.size:
        return np.ones(voxels.shape, bool)
    return np.asarray(above)
