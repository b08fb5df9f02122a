"""Draws patients voxel by voxel and writes them as BraTS lays them out.

As in the official files the first axis runs to the patient's left, the second to the back, the
third up; reading turns them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.data.readers.brats_layout import MODALITIES, write_patient
from bench.data.simulate_brain import FIELD_MM, SimulationSize
from bench.data.simulate_brain.brain_patient import BrainPatient, draw_brain_patient
from bench.data.simulate_brain.brain_shape import Surface, lay_out, outer, own_space
from bench.data.simulate_brain.deep_structures import lay_out_deep
from bench.data.simulate_brain.magnetic_contrast import modality
from bench.data.simulate_brain.random_waves import F, draw_waves
from bench.data.simulate_brain.tumour import displaced, labels, regions
from bench.streams import stream

_CENTRE = np.array((0.0, 0.0, -6.0), np.float32)  # of the field, in the average brain's space


@dataclass(frozen=True, kw_only=True)
class Volumes:
    """One patient's scan: int16 by modality, and uint8 labels as stored, all [i, j, k]."""

    modalities: dict[str, NDArray[np.int16]]
    seg: NDArray[np.uint8]


def write_set(size: SimulationSize, root: Path) -> None:
    """Draws and writes size.patients patients."""
    voxel = FIELD_MM / size.side
    affine = np.diag((-voxel, -voxel, voxel, 1.0))
    affine[1, 3] = FIELD_MM - voxel
    for index in range(size.patients):
        person = draw_brain_patient(stream(size.seed, "simulate-brain", index))
        scan = draw_scan(person, size.side)
        case = f"BraTS20_Training_{index + 1:03d}"
        write_patient(root, case, scan.modalities, scan.seg, affine)


def draw_scan(person: BrainPatient, side: int) -> Volumes:
    """The four modalities and the labels of one patient, side voxels each way."""
    voxel = FIELD_MM / side
    grid, where = _brain_points(person, side, voxel)
    depth = outer(grid)[0]
    before = displaced(grid, depth, person.lesions)
    surface = lay_out(grid, before, person)
    shares, around = _tissues(surface, before, person, voxel)
    grown = regions(grid, shares["white"], shares["fluid"], surface.inside, person, voxel)
    healthy = 1 - grown.necrotic - grown.enhancing - grown.oedema
    shares = {name: share * healthy for name, share in shares.items()}
    shares["oedema"], shares["enhancing"] = grown.oedema, grown.enhancing
    shares["solid"] = grown.necrotic * grown.solid
    shares["dead"] = grown.necrotic - shares["solid"]
    vessels = _vessels(grid, surface, around, person) * healthy
    seg = np.zeros(where.shape, np.uint8)
    seg[where] = labels(grown)
    return Volumes(
        modalities={
            name: modality(name, shares, vessels, grid, where, voxel, person.variant)
            for name in MODALITIES
        },
        seg=seg,
    )


def _brain_points(person: BrainPatient, side: int, voxel: float) -> tuple[F, NDArray[np.bool_]]:
    """Centres of the voxels in the brain, [N, 3] mm of the average space; and bool [i, j, k]."""
    at = ((np.arange(side) + 0.5) * voxel - FIELD_MM / 2).astype(np.float32)
    left, back, up = np.meshgrid(-at, -at, at, indexing="ij")
    everywhere = np.stack([left.ravel(), back.ravel(), up.ravel()], axis=1)
    space = own_space(everywhere, person) + _CENTRE
    near = np.square(space / (80, 100, 84)).sum(axis=1) < 1
    inside = np.zeros(len(space), bool)
    # The skull is stripped unevenly.
    uneven = draw_waves(stream(person.variant, "stripping"), 22.0).at(space[near])
    inside[near] = outer(space[near])[0] > 0.7 + 0.8 * uneven
    return space[inside].astype(np.float32), inside.reshape(side, side, side)


def _tissues(
    surface: Surface, points: F, person: BrainPatient, voxel: float
) -> tuple[dict[str, F], F]:
    """The healthy tissues' shares of each voxel, together 1; and distance from the ventricles."""
    deep = lay_out_deep(points, person)
    cerebellar = surface.cerebellum > np.maximum(surface.brainstem, 0)
    leaf = draw_waves(stream(person.variant, "folia"), 60.0).at(points)
    # The leaves of the cerebellum lie on each other, around a white core.
    height = points[:, 2] + 0.35 * points[:, 1] + 2.5 * leaf
    leaves = np.abs((height / 6.5) % 1 - 0.5) * 6.5
    from_leaf = np.sqrt(np.square(leaves) + np.square(np.clip(surface.cerebellum - 13, 0, None)))
    pial = np.where(cerebellar, np.minimum(surface.cerebellum, from_leaf), surface.pial)
    in_stem = (surface.brainstem > 0) & ~cerebellar
    pial = np.where(in_stem, surface.inside + 4, pial)
    half = np.where(cerebellar, 0.35, person.sulcus)
    thick = np.where(cerebellar, 2.3, np.where(in_stem, 0.0, person.cortex))
    fluid = _within(pial, half, voxel)
    # Between the cerebellum and the cerebrum above it.
    gap = np.abs(surface.cerebellum) + 4 * np.clip(surface.inside - 24, 0, None)
    fluid = np.maximum(fluid, _within(gap, np.where(surface.brainstem > -3, 0, 1.2), voxel))
    fluid = np.maximum(fluid, _side(deep.ventricles, voxel))
    grey = np.maximum(_within(pial, half + thick, voxel), _side(deep.nuclei, voxel) * 0.9)
    grey = np.where(thick > 0, grey, 0.25 + 0 * grey)
    grey = np.clip(np.minimum(grey, 1 - fluid), 0, 1)
    white = 1 - fluid - grey
    caps = np.exp(-np.clip(deep.around, 0, None) / (2 + 5 * person.white_spots))
    patches = draw_waves(stream(person.variant, "white spots"), 16.0).at(points) > 2.1
    spots = np.clip(caps * (0.25 + 0.6 * person.white_spots) + person.white_spots * patches, 0, 1)
    spots = white * spots * (surface.cerebellum < 0) * (deep.around < 30)
    shares = {"white": white - spots, "grey": grey, "fluid": fluid, "spots": spots}
    return {name: np.asarray(share, np.float32) for name, share in shares.items()}, deep.around


def _vessels(points: F, surface: Surface, around: F, person: BrainPatient) -> F:
    """What takes up contrast agent in health: sinuses, vessels in the clefts, choroid plexus."""
    x, y, z = points.T
    sagittal = np.exp(-np.square(x / 2.5)) * (surface.inside < 5) * (z > -5)
    some = draw_waves(stream(person.variant, "vessels"), 18.0).at(points) > 1.2
    above = (surface.cerebellum < -3) & (surface.brainstem < -3)
    clefts = 0.6 * np.exp(-np.square(surface.pial / 1.2)) * some * above
    plexus = np.clip((-1.5 - around) / 2, 0, 1) * (np.square(y + 33) + np.square(z - 6) < 16)
    return np.asarray(np.clip(sagittal + clefts + 0.5 * plexus, 0, 1), np.float32)


def _within(distance: F, half: F, voxel: float) -> F:
    """How much of a voxel lies in a sheet of thickness 2 half; distance: from its middle."""
    return np.asarray(_side(distance + half, voxel) - _side(distance - half, voxel), np.float32)


def _side(distance: F, voxel: float) -> F:
    return np.asarray(np.clip(distance / voxel + 0.5, 0, 1), np.float32)
