"""What is wrong with a patient in one study, and the 14 observations that CheXpert would list.

Observations follow from what is drawn: cardiomegaly from the heart's width against the rib cage's,
the others from the findings. A radiologist's doubt is drawn too: faint findings may be uncertain.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.data.readers.chexpert_labels import NEGATIVE, OBSERVATIONS, POSITIVE, UNCERTAIN

RIGHT, LEFT = -1, 1  # the patient's sides, as the sign of x
DEVICES = ("pacemaker", "line", "tube", "feeding tube", "chest tube", "electrodes", "wires")


@dataclass(frozen=True, kw_only=True)
class Opacity:
    """A cloud in a lung: consolidation, pneumonia."""

    side: int
    level: float  # share of the lung's height, 0 the tip
    across: float  # share of its width, 0 the middle of the body
    radius: float  # cm
    density: float


@dataclass(frozen=True, kw_only=True)
class Findings:
    """Amounts from 0 (not there) to about 1, and the devices that are there."""

    heart: float = 1.0  # factor on the heart's size
    mediastinum: float = 0.0
    edema: float = 0.0
    effusion: tuple[float, float] = (0.0, 0.0)  # of the right, the left side
    pneumothorax: tuple[float, float] = (0.0, 0.0)
    atelectasis: tuple[float, float] = (0.0, 0.0)
    pleura: tuple[float, float] = (0.0, 0.0)
    opacities: tuple[Opacity, ...] = ()
    is_pneumonia: bool = False
    nodules: tuple[Opacity, ...] = ()
    broken_ribs: tuple[tuple[int, int], ...] = ()  # side, rib
    devices: frozenset[str] = frozenset()

    @property
    def any_of_chest(self) -> bool:
        return self != Findings(heart=self.heart, devices=self.devices)


def draw_findings(rng: np.random.Generator) -> Findings:
    """Three patients in ten have nothing but, perhaps, devices."""

    def has(chance: float) -> bool:
        return bool(rng.random() < chance)

    def one_side(amount: float, both: float = 0.0) -> tuple[float, float]:
        sides = [amount, amount * float(rng.uniform(0.4, 1)) * has(both)]
        return (sides[0], sides[1]) if has(0.5) else (sides[1], sides[0])

    is_well = has(0.3)
    devices = frozenset(name for name, chance in _device_chances(is_well) if has(chance))
    heart = float(rng.uniform(1.16, 1.42)) if not is_well and has(0.3) else 1.0
    if is_well:
        return Findings(devices=devices)
    failing = heart > 1
    return Findings(
        heart=heart,
        mediastinum=float(rng.uniform(0.4, 1)) if has(0.08) else 0.0,
        edema=float(rng.uniform(0.3, 1)) if has(0.5 if failing else 0.15) else 0.0,
        effusion=one_side(float(rng.uniform(0.15, 1)), 0.5) if has(0.38) else (0.0, 0.0),
        pneumothorax=one_side(float(rng.uniform(0.25, 1))) if has(0.1) else (0.0, 0.0),
        atelectasis=one_side(float(rng.uniform(0.4, 1)), 0.4) if has(0.25) else (0.0, 0.0),
        pleura=one_side(float(rng.uniform(0.4, 1))) if has(0.04) else (0.0, 0.0),
        opacities=_draw_clouds(rng, 1 + int(rng.integers(3))) if has(0.22) else (),
        is_pneumonia=has(0.5),
        nodules=_draw_nodules(rng, 1 + int(rng.integers(3))) if has(0.1) else (),
        broken_ribs=((1 if has(0.5) else -1, int(rng.integers(3, 8))),) if has(0.05) else (),
        devices=devices,
    )


def _device_chances(is_well: bool) -> tuple[tuple[str, float], ...]:
    share = (0.04, 0.05, 0.0, 0.0, 0.0, 0.2, 0.06) if is_well else (
        0.12, 0.35, 0.15, 0.15, 0.06, 0.45, 0.12)  # fmt: skip
    return tuple(zip(DEVICES, share, strict=True))


def _draw_clouds(rng: np.random.Generator, count: int) -> tuple[Opacity, ...]:
    side = RIGHT if rng.random() < 0.5 else LEFT
    level, across = rng.uniform(0.3, 0.85), rng.uniform(0.35, 0.75)
    return tuple(
        Opacity(
            side=side,
            level=float(np.clip(level + rng.normal(0, 0.09), 0.15, 0.95)),
            across=float(np.clip(across + rng.normal(0, 0.12), 0.2, 0.9)),
            radius=float(rng.uniform(1.8, 4.2)),
            density=float(rng.uniform(0.35, 0.9)),
        )
        for _ in range(count)
    )


def _draw_nodules(rng: np.random.Generator, count: int) -> tuple[Opacity, ...]:
    return tuple(
        Opacity(
            side=RIGHT if rng.random() < 0.5 else LEFT,
            level=float(rng.uniform(0.15, 0.85)),
            across=float(rng.uniform(0.35, 0.85)),
            radius=float(rng.uniform(0.5, 1.7)),
            density=float(rng.uniform(0.6, 1)),
        )
        for _ in range(count)
    )


def observe(found: Findings, heart_share: float) -> dict[str, float]:
    """1 or 0 for each of OBSERVATIONS. heart_share: of the rib cage's inner width, as drawn."""
    is_there = {
        "Enlarged Cardiomediastinum": found.mediastinum > 0 or heart_share > 0.5,
        "Cardiomegaly": heart_share > 0.5,
        "Lung Lesion": bool(found.nodules),
        "Edema": found.edema > 0,
        "Consolidation": bool(found.opacities),
        "Pneumonia": bool(found.opacities) and found.is_pneumonia,
        "Atelectasis": max(found.atelectasis) > 0,
        "Pneumothorax": max(found.pneumothorax) > 0,
        "Pleural Effusion": max(found.effusion) > 0,
        "Pleural Other": max(found.pleura) > 0,
        "Fracture": bool(found.broken_ribs),
    }
    clouded = ("Lung Lesion", "Edema", "Consolidation", "Atelectasis")
    is_there["Lung Opacity"] = any(is_there[name] for name in clouded)
    is_there["No Finding"] = not any(is_there.values())
    is_there["Support Devices"] = bool(found.devices)
    return {name: POSITIVE if is_there[name] else NEGATIVE for name in OBSERVATIONS}


def as_listed(observed: dict[str, float], rng: np.random.Generator) -> list[float | str]:
    """As train.csv has it, read from reports: most of what is absent is not mentioned, and some of
    what is there, or might be, is uncertain."""
    cells: list[float | str] = []
    for name, value in observed.items():
        doubt, mentioned = rng.random(2)
        if value == POSITIVE:
            certain = name in ("No Finding", "Support Devices") or doubt > 0.08
            cells.append(POSITIVE if certain else UNCERTAIN)
        elif name == "No Finding" or mentioned > 0.15:
            cells.append("")
        else:
            cells.append(UNCERTAIN if doubt < 0.12 else NEGATIVE)
    return cells
