"""Whose head it is, how it lies, and what grows in it.

Lengths are mm; x runs to the patient's right, y to the front, z up, from the middle of the brain.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Point = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Lesion:
    """One tumour: a core, which may have an enhancing rim around necrosis, in its oedema."""

    centre: Point
    radius: float  # of the core
    stretch: Point  # of the core along x, y, z
    irregular: float  # how uneven its surface is
    rim: float  # thickness of the enhancing rim, 0 where nothing enhances
    oedema: float  # how far oedema reaches beyond the core
    push: float  # by which what lies around is moved outwards


@dataclass(frozen=True, kw_only=True)
class BrainPatient:
    """What decides one patient's anatomy."""

    scale: Point  # of the brain along x, y, z, 1 for an average one
    tilt: Point  # radians about x, y, z
    shift: Point
    cortex: float  # its thickness
    sulcus: float  # half the width of a fold's cleft; wider in the old
    ventricle: float  # width of the ventricles, 1 for an average adult
    white_spots: float  # changes of the white matter that come with age, 0 to 1
    asymmetry: float
    lesions: tuple[Lesion, ...]
    variant: int  # keys what is drawn in detail: folds, texture


def draw_brain_patient(rng: np.random.Generator) -> BrainPatient:
    """Draws an adult: age first, then what goes with it; gliomas of high and of low grade."""
    age = float(np.clip(rng.normal(58, 13), 20, 88))
    old = float(np.clip((age - 40) / 45, 0, 1))
    large = rng.normal(1.0, 0.045)
    is_enhancing = bool(rng.random() < 0.8)
    lesions = [_draw_lesion(rng, is_enhancing)]
    if rng.random() < 0.12:
        near = lesions[0]
        beside = np.array(near.centre) + near.radius * rng.uniform(1.2, 1.8) * _direction(rng)
        beside[0] = np.copysign(max(abs(beside[0]), 16), near.centre[0])
        inside = beside / max(1.0, float(np.linalg.norm(beside / (50, 62, 44))))
        lesions.append(_draw_lesion(rng, is_enhancing, inside, 0.6))
    return BrainPatient(
        scale=_triple(large * rng.normal(1, 0.035, 3)),
        tilt=_triple(rng.normal(0, (0.09, 0.05, 0.06))),
        shift=_triple(rng.normal(0, 3.0, 3)),
        cortex=float(rng.normal(3.3 - 0.3 * old, 0.15)),
        sulcus=float(np.clip(rng.normal(0.75 + 0.7 * old, 0.15), 0.5, 1.8)),
        ventricle=float(np.clip(rng.normal(0.85 + 0.5 * old, 0.18), 0.55, 1.8)),
        white_spots=float(np.clip(rng.normal(0.8 * old - 0.1, 0.2), 0, 1)),
        asymmetry=float(rng.normal(0, 0.05)),
        lesions=tuple(lesions),
        variant=int(rng.integers(2**31)),
    )


def _draw_lesion(
    rng: np.random.Generator,
    is_enhancing: bool,
    centre: NDArray[np.float64] | None = None,
    size: float = 1.0,
) -> Lesion:
    radius = float(size * np.clip(rng.normal(17 if is_enhancing else 19, 5), 8, 28))
    if centre is None:
        way = _direction(rng)
        way[0] = np.copysign(max(abs(way[0]), 0.35), way[0])
        way[2] = max(way[2], -0.35)
        centre = way / np.linalg.norm(way) * (47, 58, 40) * rng.uniform(0.55, 0.9)
    return Lesion(
        centre=_triple(centre),
        radius=radius,
        stretch=_triple(np.exp(rng.normal(0, 0.14, 3))),
        irregular=float(rng.uniform(0.12, 0.26)),
        rim=float(np.clip(rng.normal(3.8, 1.2), 2.0, 7.0)) if is_enhancing else 0.0,
        oedema=float(rng.uniform(6, 26) if is_enhancing else rng.uniform(2, 8)),
        push=float(radius * rng.uniform(0.15, 0.4)),
    )


def _direction(rng: np.random.Generator) -> NDArray[np.float64]:
    way = rng.standard_normal(3)
    return np.asarray(way / np.linalg.norm(way))


def _triple(values: NDArray[np.float64]) -> Point:
    x, y, z = (float(value) for value in values)
    return x, y, z
