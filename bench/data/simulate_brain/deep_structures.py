"""Ventricles, nuclei and other structures inside the brain, by their distances in mm."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from bench.data.simulate_brain.brain_patient import BrainPatient
from bench.data.simulate_brain.brain_shape import ellipsoid, joined
from bench.data.simulate_brain.random_waves import F

# A lateral ventricle as a tube: points on its axis and radii, mirrored for the other side.
_BODY = (
    ((7, 33, 3), 3.5),
    ((8, 22, 11), 5.5),
    ((9, 4, 17), 5.5),
    ((12, -16, 17), 6.0),
    ((22, -33, 8), 7.5),
)
_TEMPORAL = (((22, -33, 8), 6.0), ((31, -20, -12), 4.0), ((30, -2, -20), 2.8))
_OCCIPITAL = (((22, -33, 8), 6.0), ((21, -55, 5), 3.0))
_FLAT = 0.72  # tubes are wider across than high


@dataclass(frozen=True, kw_only=True)
class Deep:
    """At each of N points, float32 [N]: positive inside.

    ventricles: fluid. nuclei: grey matter between the ventricles and the white matter. around: from
    the lateral ventricles, growing outwards.
    """

    ventricles: F
    nuclei: F
    around: F


def lay_out_deep(points: F, patient: BrainPatient) -> Deep:
    """points: float32 [N, 3] of the average space, displaced by what grows there."""
    x, y, z = points.T
    wide = np.where(x > 0, 1 + patient.asymmetry, 1 - patient.asymmetry).astype(np.float32)
    mirrored = np.stack([np.abs(x) / wide, y, z], axis=1)
    lateral = _tube(mirrored, _BODY, patient.ventricle)
    for tube in (_TEMPORAL, _OCCIPITAL):
        lateral = joined(lateral, _tube(mirrored, tube, patient.ventricle), 2)
    third = ellipsoid(points, (0, -3, 0), (1.6 * patient.ventricle, 13, 9))
    fourth = ellipsoid(points, (0, -32, -38), (6, 3.5 * patient.ventricle, 9))
    cistern = ellipsoid(points, (0, 4, -22), (9, 8, 4))
    behind = ellipsoid(points, (0, -34, -3), (9, 4, 6))
    fluid = lateral
    for other in (third, fourth, cistern, behind):
        fluid = np.maximum(fluid, other)
    nuclei = ellipsoid(mirrored, (10.5, -15, 4), (8.5, 14, 8.5))
    for centre, radii in (
        ((15.5, 20, 8), (4.5, 11, 8.5)),  # the head of the caudate
        ((18.5, 0, 19), (3, 14, 3)),  # and its body
        ((26, 6, 2), (5.5, 16, 9.5)),  # the putamen
        ((20, 1, 0), (4, 9, 6)),  # the pallidum
        ((24, -8, -21), (7, 14, 5)),  # hippocampus and amygdala
    ):
        nuclei = np.maximum(nuclei, ellipsoid(mirrored, centre, radii))
    return Deep(ventricles=fluid, nuclei=nuclei, around=-lateral)


def _tube(points: F, axis: tuple[tuple[tuple[int, int, int], float], ...], width: float) -> F:
    """Distance into a tube whose radius changes from one point of its axis to the next."""
    inside = np.full(len(points), -np.inf, np.float32)
    squeeze = np.array((1, 1, 1 / _FLAT), np.float32)
    for (start, r0), (end, r1) in pairwise(axis):
        a = np.array(start, np.float32) * squeeze
        way = np.array(end, np.float32) * squeeze - a
        from_start = points * squeeze - a
        t = np.clip(from_start @ way / (way @ way), 0, 1)
        away = np.linalg.norm(from_start - t[:, None] * way, axis=1)
        radius = (r0 + (r1 - r0) * t) * (0.35 + 0.65 * width)
        inside = np.maximum(inside, (radius - away).astype(np.float32))
    return inside
