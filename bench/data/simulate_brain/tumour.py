"""The tumour's nested regions: a necrotic core in an enhancing rim, in oedema.

Surfaces are spheres, stretched and made uneven by random waves. Oedema follows white matter: it
reaches further there, and hardly into the cortex. What lies around is pushed outwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.data.simulate_brain.brain_patient import BrainPatient, Lesion
from bench.data.simulate_brain.random_waves import F, draw_waves
from bench.streams import stream

NECROTIC, OEDEMA, ENHANCING = 1, 2, 4  # as BraTS stores them
_FADES_MM = 22.0  # over which what is pushed comes to rest
_HALF = np.float32(0.5)


@dataclass(frozen=True, kw_only=True)
class Regions:
    """Shares of the voxel at each of N points, float32 [N] in [0, 1], together at most 1.

    solid: of the necrotic core, how much is tumour that does not enhance, the rest being dead.
    """

    necrotic: F
    enhancing: F
    oedema: F
    solid: F


def displaced(points: F, depth: F, lesions: Sequence[Lesion]) -> F:
    """Where the tissue at each point, [N, 3] mm, lay before the tumours grew.

    depth: distance from the brain's surface, which stays where it is.
    """
    moved = points
    for lesion in lesions:
        away = moved - np.asarray(lesion.centre, np.float32)
        r = np.linalg.norm(away, axis=1) + np.float32(1e-3)
        beyond = np.clip(r - lesion.radius, 0, None)
        gives = np.clip(depth / 14, 0, 1)
        push = np.float32(lesion.push) * np.exp(-beyond / np.float32(_FADES_MM)) * gives
        back = np.minimum(push, 0.8 * r)
        moved = (moved - away * (back / r)[:, None]).astype(np.float32)
    return moved


def regions(
    points: F, white: F, fluid: F, inside: F, patient: BrainPatient, voxel: float
) -> Regions:
    """points: [N, 3] mm. white, fluid: the tissues' shares there, without the tumour.

    inside: distance from the brain's surface. voxel: side of a voxel in mm, over which edges
    become gradual.
    """
    zero = np.zeros(len(points), np.float32)
    core, rim, swollen, solid = zero, zero, zero, zero
    for number, lesion in enumerate(patient.lesions):
        rng = stream(patient.variant, "tumour", number)
        away = (points - np.asarray(lesion.centre, np.float32)) / np.asarray(
            lesion.stretch, np.float32
        )
        r = np.linalg.norm(away, axis=1)
        coarse = draw_waves(rng, 2.2 * lesion.radius).at(points)
        fine = draw_waves(rng, 0.8 * lesion.radius).at(points)
        uneven = np.float32(lesion.irregular) * (coarse + np.float32(0.45) * fine)
        outer = np.float32(lesion.radius) * (1 + uneven) - r
        outer = np.minimum(outer, inside - 1)
        # The other half is reached through the callosum only.
        side = np.sign(lesion.centre[0]) * points[:, 0]
        outer = np.minimum(outer, np.where(np.abs(points[:, 2] - 18) < 10, side + 12, side + 1))
        whole = _share(outer, voxel) * (1 - np.float32(0.8) * fluid * (r > lesion.radius * 0.7))
        if lesion.rim:
            thick = np.float32(lesion.rim) * np.exp(
                np.float32(0.35) * draw_waves(rng, 1.3 * lesion.radius).at(points)
            )
            hollow = np.minimum(_share(outer - thick, voxel), whole)
        else:
            hollow = whole
        reach = np.float32(lesion.oedema) * np.clip(
            1 + 0.55 * draw_waves(rng, 38.0).at(points) + 0.25 * fine, 0.1, 2.2
        )
        reach = reach * (np.float32(0.5) + np.float32(0.5) * np.clip(1.5 * white, 0, 1))
        reach_side = np.where(side > -1, reach, 0.35 * reach)
        spread = _share(outer + reach_side, 1.5 * voxel + 1) * np.clip(2.2 * white - 0.1, 0, 1)
        spread = spread * (1 - fluid)
        core = np.maximum(core, hollow)
        rim = np.maximum(rim, whole - hollow)
        swollen = np.maximum(swollen, spread)
        solid = np.where(hollow > 0, np.float32(0.25 if lesion.rim else 1.0), solid)
    core = np.clip(core, 0, 1)
    rim = np.clip(np.minimum(rim, 1 - core), 0, 1)
    swollen = np.clip(np.minimum(swollen, 1 - core - rim), 0, 1)
    return Regions(
        necrotic=np.asarray(core, np.float32), enhancing=np.asarray(rim, np.float32),
        oedema=np.asarray(swollen, np.float32), solid=np.asarray(solid, np.float32),
    )  # fmt: skip


def labels(found: Regions) -> NDArray[np.uint8]:
    """uint8 [N]: the region with the largest share, where all together have half of the voxel."""
    shares = np.stack([found.necrotic, found.oedema, found.enhancing])
    stored = np.array((NECROTIC, OEDEMA, ENHANCING), np.uint8)
    return np.where(shares.sum(axis=0) > _HALF, stored[shares.argmax(axis=0)], 0).astype(np.uint8)


def _share(distance: F, voxel: float) -> F:
    """How much of a voxel lies on the positive side of a surface."""
    return np.asarray(np.clip(distance / np.float32(voxel) + _HALF, 0, 1), np.float32)
