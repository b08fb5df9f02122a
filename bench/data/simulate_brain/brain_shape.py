"""The brain's surface, its folds and fissures: how far every point lies from what is around it.

Distances are mm, about right near the surface, positive inside. The cortex is what lies close to
the surface, to the clefts of the folds (zeros of a random field that changes along the surface, not
with depth) and to the great fissures.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.data.simulate_brain.brain_patient import BrainPatient
from bench.data.simulate_brain.random_waves import F, draw_waves
from bench.streams import stream

_CEREBRUM = np.array((66.0, 84.0, 58.0), np.float32)  # half axes
_FOLDS_MM = 21.0  # length of a wave; clefts come twice in it
_OUTER_FLUID = 1.3  # mm of fluid between the brain and the stripped skull


@dataclass(frozen=True, kw_only=True)
class Surface:
    """At each of N points, float32 [N].

    inside: distance from the outer surface. pial: distance from the nearest fluid on the cortex.
    cerebellum, brainstem: distance from the surface of these parts, positive in them.
    """

    inside: F
    pial: F
    cerebellum: F
    brainstem: F


def ellipsoid(points: F, centre: tuple[float, ...], radii: tuple[float, ...]) -> F:
    """About the distance from an ellipsoid's surface, positive inside: float32 [N]."""
    half = np.asarray(radii, np.float32)
    away = (points - np.asarray(centre, np.float32)) / half
    r = np.sqrt(np.square(away).sum(axis=1)) + np.float32(1e-6)
    slope = np.sqrt(np.square(away / half).sum(axis=1)) / r + np.float32(1e-6)
    return np.asarray((1 - r) / slope, np.float32)


def joined(first: F, second: F, blend: float) -> F:
    """The union of two bodies by their distances, rounded over `blend` mm where they meet."""
    over = np.clip(0.5 + 0.5 * (second - first) / blend, 0, 1)
    return np.asarray(first + (second - first) * over + blend * over * (1 - over), np.float32)


def own_space(points: F, patient: BrainPatient) -> F:
    """Points of the scanner, [N, 3] mm, in the average brain's space."""
    moved = points - np.asarray(patient.shift, np.float32)
    a, b, c = patient.tilt
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    about_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    turned = moved @ (about_x @ about_y @ about_z).astype(np.float32)
    return np.asarray(turned / np.asarray(patient.scale, np.float32), np.float32)


def outer(points: F) -> tuple[F, F, F, F]:
    """(whole, cerebrum, cerebellum, brainstem): distances of points of the average space."""
    x, y, z = points.T
    # The front is narrower than the back, the base flatter than the top.
    narrowed = points.copy()
    narrowed[:, 0] = x / (1 - 0.17 * np.clip(y / 84, -0.25, 1) ** 2 - 0.05 * np.clip(y / 84, 0, 1))
    narrowed[:, 2] = np.where(z < 0, z * 1.42, z) + 0.0009 * np.square(y) * (z > 0)
    halves = ellipsoid(narrowed, (0, 0, 4), tuple(_CEREBRUM))
    mirrored = np.stack([np.abs(x), y, z], axis=1)
    temporal = ellipsoid(mirrored, (43, 8, -28), (19, 36, 18))
    frontal_base = ellipsoid(mirrored, (15, 42, -15), (18, 29, 13))
    cerebrum = joined(joined(halves, temporal, 8), frontal_base, 8)
    lobes = ellipsoid(mirrored, (22, -50, -35), (29, 29, 21))
    cerebellum = joined(lobes, ellipsoid(points, (0, -48, -33), (14, 26, 20)), 8)
    bent = points.copy()
    bent[:, 1] += 0.12 * np.clip(-25 - z, 0, None)
    stem = ellipsoid(bent, (0, -16, -42), (11.5, 11, 30))
    pons = ellipsoid(points, (0, -10, -38), (15, 13, 13))
    brainstem = joined(stem, pons, 6)
    whole = joined(joined(cerebrum, cerebellum, 5), brainstem, 5)
    return whole, cerebrum, cerebellum, brainstem


def lay_out(points: F, displaced: F, patient: BrainPatient) -> Surface:
    """The surface at points of the average space; `displaced` by what grows there for the folds."""
    whole, cerebrum, cerebellum, brainstem = outer(points)
    folds = draw_waves(stream(patient.variant, "cortical folds"), _FOLDS_MM, 40)
    depths = draw_waves(stream(patient.variant, "depths of folds"), 40.0)
    x, y, z = displaced.T
    # Along a line from the middle outwards the field stays the same: clefts go straight down.
    spread = displaced / _CEREBRUM
    r = np.sqrt(np.square(spread).sum(axis=1, keepdims=True)) + np.float32(1e-3)
    onto = spread / r * _CEREBRUM * np.float32(0.86)
    bend = np.float32(0.10) * displaced
    across = folds.distance_to_zero(onto + bend) * np.clip(r[:, 0], 0.45, 1.1)
    deep = 14 + 5 * depths.at(displaced)
    below = np.clip(cerebrum - np.clip(deep, 3, 24), 0, None)
    cleft = np.sqrt(np.square(across) + np.square(below))
    pial = np.minimum(np.clip(cerebrum - _OUTER_FLUID, 0, None), cleft)
    wavy = draw_waves(stream(patient.variant, "lateral fissure"), 30.0).at(displaced)
    pial = np.minimum(pial, _fissures(x, y, z + 2.5 * wavy))
    # The base of the brain, where the stem and the deep nuclei are, has no cortex.
    middle = np.sqrt(np.square(x / 26) + np.square((y + 6) / 34) + np.square((z + 14) / 26))
    pial = np.where(middle < 1, np.maximum(pial, 14 * (1 - middle) + pial), pial)
    return Surface(
        inside=whole, pial=np.asarray(pial, np.float32), cerebellum=cerebellum, brainstem=brainstem
    )


def _fissures(x: F, y: F, z: F) -> NDArray[np.float32]:
    """Distance from the fissure between the halves, above the callosum, and the lateral ones."""
    arch = np.sqrt(np.square((y + 4) / 45) + np.square((z - 0) / 29))
    over = np.clip((1 - arch) * 30, 0, None)  # below the arch there is no fissure
    over = np.where(z < -12, np.maximum(over, -12 - z), over)
    between = np.sqrt(np.square(x) + np.square(over))
    # The lateral fissure rises backwards between the temporal lobe and what is above it.
    tent = (z + 4) - 0.55 * (4 - y)
    along = np.clip(np.abs(y - 4) - 24, 0, None)
    inwards = np.clip(38 - np.abs(x), 0, None)
    lateral = np.sqrt(np.square(tent) + np.square(along) + np.square(inwards))
    return np.asarray(np.minimum(between, lateral), np.float32)
