"""The 95th percentile Hausdorff distance of masks in mm, by MONAI's convention.

HD95 is the larger of two directed percentiles: of the distances from each surface voxel of one mask
to the nearest of the other, and the reverse, each with linear interpolation. So do MONAI's
compute_hausdorff_distance(percentile=95) and DeepMind's surface-distance, though the latter weighs
surface elements by area. medPy's hd95 is the other convention: one percentile of both directions'
distances put together, mostly smaller. A surface voxel is one of the mask with a face neighbour
that is not; beyond the border of the volume nothing is. Distances are between voxel centres.

Empty masks, which MONAI answers with NaN or infinity: both empty is 0; one empty is the length of
the volume's diagonal, a stated worst case; whoever averages has to count these (`empty_masks`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, distance_transform_edt

from bench.errors import BenchError
from bench.metrics.segmentation import Labels, require_alike

PERCENTILE = 95.0
UNSPACED = (
    "the size of a voxel is not known and taken as 1 mm along every axis: surface distances are in "
    "voxels"
)

Mask = NDArray[np.bool_]


def hd95(
    predicted: Labels, target: Labels, n_classes: int, spacing: NDArray[np.floating] | None = None
) -> NDArray[np.float64]:
    """HD95 of each case and class in mm.

    Args:
        predicted: label maps [n, *spatial], 2D or 3D.
        target: the same of what is true.
        n_classes: foreground classes, labels 1 to n_classes.
        spacing: [n, dims], mm from voxel to voxel along each axis; None is 1 everywhere.

    Returns:
        float64 [n, n_classes], finite; see above for empty masks.

    Raises:
        BenchError: shapes that differ, or a spacing that is not positive.
    """
    require_alike(predicted, target)
    steps = spacing_of(spacing, len(target), target.ndim - 1)
    found = np.empty((len(target), n_classes), np.float64)
    for case, label in np.ndindex(len(target), n_classes):
        one, other = predicted[case] == label + 1, target[case] == label + 1
        found[case, label] = mask_hd95(one, other, steps[case])
    return found


def mask_hd95(one: Mask, other: Mask, spacing: Sequence[float] | NDArray[np.float64]) -> float:
    """HD95 of two masks of one shape in mm, symmetric."""
    there = one.any(), other.any()
    if not any(there):
        return 0.0
    if not all(there):
        return diagonal(one.shape, spacing)
    box = _bounding_box(one | other)
    # outside of the box both are empty, so that surfaces and their distances are the same within
    ours, theirs = _surface(one[box]), _surface(other[box])
    return max(_directed(ours, theirs, spacing), _directed(theirs, ours, spacing))


def diagonal(spatial: Sequence[int], spacing: Sequence[float] | NDArray[np.float64]) -> float:
    """The length in mm of the diagonal of a volume of so many voxels."""
    return float(np.linalg.norm(np.asarray(spatial, np.float64) * np.asarray(spacing)))


def empty_masks(labels: Labels, n_classes: int) -> NDArray[np.bool_]:
    """[n, n_classes]: whether label maps [n, *spatial] have no voxel of a class."""
    axes = tuple(range(1, labels.ndim))
    classes = range(1, n_classes + 1)
    return np.stack([~(labels == label).any(axis=axes) for label in classes], axis=1)


def spacing_of(spacing: NDArray[np.floating] | None, count: int, dims: int) -> NDArray[np.float64]:
    """float64 [count, dims], 1 where nothing is given.

    Raises:
        BenchError: another shape, or a value that is not a positive number.
    """
    if spacing is None:
        return np.ones((count, dims))
    steps = np.asarray(spacing, np.float64)
    if steps.shape != (count, dims):
        raise BenchError(f"spacing must be [{count}, {dims}] (mm), got {list(steps.shape)}")
    if not (np.isfinite(steps).all() and (steps > 0).all()):
        bad = int(np.flatnonzero(~((steps > 0) & np.isfinite(steps)).all(axis=1))[0])
        raise BenchError(
            "spacing is mm between voxels and must be positive; case "
            f"{bad} has {steps[bad].tolist()}"
        )
    return steps


def _bounding_box(mask: Mask) -> tuple[slice, ...]:
    box = []
    for axis in range(mask.ndim):
        others = tuple(a for a in range(mask.ndim) if a != axis)
        places = np.flatnonzero(mask.any(axis=others))
        box.append(slice(int(places[0]), int(places[-1]) + 1))
    return tuple(box)


def _surface(mask: Mask) -> Mask:
    return np.asarray(mask & ~binary_erosion(mask))


def _directed(one: Mask, other: Mask, spacing: Sequence[float] | NDArray[np.float64]) -> float:
    """The percentile of the distances from the surface `one` to the surface `other`."""
    distances = distance_transform_edt(~other, sampling=tuple(map(float, spacing)))
    return float(np.percentile(distances[one], PERCENTILE))
