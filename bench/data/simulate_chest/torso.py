"""The soft parts: the body's thickness, the lungs' air, the heart and the great vessels.

Every part is a thickness in centimetres along the beam, at every pixel of a Grid.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from bench.data.simulate_chest.findings import Findings
from bench.data.simulate_chest.patient import Patient, Placing

F = NDArray[np.floating[Any]]  # float32 in all that is drawn
D = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Grid:
    """The pixels' places in the patient's frame, float32 [S, S] in cm, and a pixel's size."""

    x: F
    y: F
    pixel: float
    placing: Placing
    scale: float

    @property
    def side(self) -> int:
        return len(self.x)

    def strokes(self, x: D, y: D, mass: D, width: float) -> F:
        """Thickness of points: `mass` cm3 each at (x, y), blurred to a standard deviation of
        `width` cm; float32 [S, S]."""
        side, placing = self.side, self.placing
        sin, cos = np.sin(placing.tilt), np.cos(placing.tilt)
        across, down = x * self.scale - placing.centre[0], y * self.scale - placing.centre[1]
        column = ((across * cos + down * sin) / placing.field + 0.5) * side - 0.5
        row = ((down * cos - across * sin) / placing.field + 0.5) * side - 0.5
        left, top = np.floor(column).astype(np.int64), np.floor(row).astype(np.int64)
        right_share, low_share = column - left, row - top
        total = np.zeros(side * side)
        for right, low in ((0, 0), (0, 1), (1, 0), (1, 1)):
            c, r = left + right, top + low
            share = np.abs(1 - right - right_share) * np.abs(1 - low - low_share)
            inside = (c >= 0) & (c < side) & (r >= 0) & (r < side)
            total += np.bincount(
                (r * side + c)[inside], (mass * share)[inside], minlength=side * side
            )
        drawn = (total / self.pixel**2).reshape(side, side).astype(np.float32)
        return np.asarray(gaussian_filter(drawn, max(width / self.pixel, 0.35), truncate=3))

    def edge(self, inside: F, soft: float = 0.0) -> F:
        """0 to 1 across a border: `inside` is the signed distance in cm, positive inside."""
        width = max(self.pixel, soft)
        return _smooth(inside / (2 * width) + 0.5)


def make_grid(patient: Patient, placing: Placing, side: int) -> Grid:
    pixel = placing.field / side
    line = ((np.arange(side, dtype=np.float32) + 0.5) / side - 0.5) * np.float32(placing.field)
    x, y = np.meshgrid(line, line)
    sin, cos = np.float32(np.sin(placing.tilt)), np.float32(np.cos(placing.tilt))
    turned_x, turned_y = x * cos - y * sin, x * sin + y * cos  # undone by Grid.strokes
    scale = np.float32(patient.scale)
    return Grid(
        x=(turned_x + np.float32(placing.centre[0])) / scale,
        y=(turned_y + np.float32(placing.centre[1])) / scale,
        pixel=pixel / patient.scale,
        placing=placing,
        scale=patient.scale,
    )


def _smooth(share: F) -> F:
    t = np.clip(share, 0, 1)
    return t * t * (3 - 2 * t)


def ball(x: F, y: F, at: tuple[float, float], radii: tuple[float, float], turn: float = 0.0) -> F:
    """1 in the middle of an ellipse to 0 at its rim: half the thickness of an ellipsoid."""
    sin, cos = np.float32(np.sin(turn)), np.float32(np.cos(turn))
    dx, dy = x - at[0], y - at[1]
    u, v = (dx * cos + dy * sin) / radii[0], (dy * cos - dx * sin) / radii[1]
    return np.sqrt(np.clip(1 - u * u - v * v, 0, None))


def body(grid: Grid, patient: Patient, placing: Placing) -> F:
    """Thickness of the body without its air: trunk, neck, shoulders, arms, breasts."""
    x, y = grid.x, grid.y
    wide = np.abs(x)
    trunk = patient.chest + 2.0 + 4.5 * patient.fat
    # Under the arm the chest wall runs in, then out again to the flanks.
    half = trunk + 0.8 * _smooth((y - 18) / 14) * (0.4 + 2 * patient.fat)
    half = half - 1.2 * _smooth((9 - y) / 6)
    depth = patient.thickness * (0.66 + 0.34 * _smooth((y + 2) / 12))
    # Flatter than an ellipse: the wall beside the lungs stays thin.
    thick = depth * np.clip(1 - np.abs(x / half) ** 2.6, 0, None) ** 0.5 * _smooth((y + 1.5) / 5)
    neck = 11.5 * np.sqrt(np.clip(1 - (x / (5.4 + 1.2 * patient.fat)) ** 2, 0, None))
    thick = np.maximum(thick, neck * _smooth((3.5 - y) / 4))
    # The shoulders slope from the neck; the arms hang beside the trunk, or are turned away.
    top = -2.6 + patient.shoulder * (np.clip(wide - 4.5, 0, None) / 9) ** 1.2
    shoulder = (13 + 4 * patient.fat) * np.sqrt(np.clip((y - top) / 6, 0, 1))
    armpit = 11.5 + 1.5 * patient.fat + 0.35 * np.clip(wide - trunk, 0, None)
    shoulder = shoulder * _smooth((armpit - y) / 7 + 0.5)
    thick = np.maximum(thick, np.where(wide > 3, shoulder, 0))
    away = 4.0 + 2.8 * placing.arms_up + (0.1 + 0.3 * placing.arms_up) * np.clip(y - 6, 0, None)
    arm = 1 - ((wide - trunk - away) / (3.9 + 1.2 * patient.fat)) ** 2
    arm = (9.0 + 2.5 * patient.fat) * np.sqrt(np.clip(arm, 0, None))
    thick = np.maximum(thick, arm * _smooth((y - 3) / 5))
    if patient.breast:
        bx, by = patient.breast_at
        radius = 5.4 + 1.3 * patient.breast
        for side in (-1, 1):
            mound = ball(x, y, (side * bx + 0.5, by + 0.3 * side), (radius, 0.92 * radius))
            hang = _smooth((y - by + radius) / (1.3 * radius))
            thick = thick + 3.0 * patient.breast * mound**1.3 * hang
    return np.asarray(thick)


@dataclass(frozen=True, kw_only=True)
class Lung:
    """One lung: its air along the beam, and places in it."""

    side: int
    air: F  # cm
    across: F  # 0 at its inner to 1 at its outer border
    level: F  # 0 at its tip to 1 at its dome
    dome: F  # signed distance above the dome, cm
    outer: F  # signed distance inside the outer border, cm


TOP = 0.6  # y of the lungs' tips


def dome_level(patient: Patient, placing: Placing, found: Findings, side: int) -> float:
    """y of the highest point of a dome of the diaphragm."""
    raised = 2.6 * found.atelectasis[side > 0]
    lower = patient.dome_left if side > 0 else 0.0
    return TOP + patient.lung_height * placing.inspiration + lower - raised


def outer_border(patient: Patient, y: F | float) -> F:
    """Half width of the rib cage's inside at each level."""
    t = np.clip((y - TOP) / 22.0, 0, 1)
    return np.asarray(4.4 + (patient.chest - 4.4) * (1 - (1 - t) ** 2.2) ** 0.58)


def lung(
    grid: Grid, patient: Patient, placing: Placing, found: Findings, side: int, wobble: F
) -> Lung:
    """wobble: small smooth displacements, cm, that keep borders from being ideal curves."""
    x, y = side * grid.x + 0.3 * wobble, grid.y + 0.3 * wobble
    outer = outer_border(patient, y)
    t = np.clip((y - TOP) / 6, 0, 1)
    inner = 1.7 + 2.8 * (1 - np.sqrt(t))
    middle, half = (outer + inner) / 2, np.maximum((outer - inner) / 2, 0.05)
    u = np.abs(x - middle) / half
    dome_y = dome_level(patient, placing, found, side)
    away = x - 6.4
    floor = dome_y + 0.062 * away**2 + 0.05 * np.clip(x - 10.5, 0, None) ** 2
    above = floor - y
    level = np.clip((y - TOP) / max(dome_y - TOP, 1), 0, 1.3)
    depth = patient.thickness * 0.72 * (0.42 + 0.58 * np.clip((y - TOP) / 10, 0, 1) ** 0.7)
    air = depth * np.clip(1 - u**2.8, 0, None) ** 0.55
    # Behind the dome the lung reaches further down: a faint grey that fades.
    behind = 0.3 * np.exp(-np.clip(-above, 0, None) / 1.6) * (above < 0)
    air = air * np.maximum(grid.edge(above, 0.16), behind) * grid.edge(y - TOP, 0.15)
    return Lung(
        side=side,
        air=air,
        across=np.clip((x - inner) / np.maximum(2 * half, 0.1), 0, 1),
        level=level,
        dome=above,
        outer=outer - x,
    )


def _left_heart(patient: Patient, found: Findings) -> tuple[float, float, float]:
    """Half length and half width of the left heart's ellipse, and the x of its middle."""
    size = patient.heart * found.heart
    return 6.8 * size, 4.9 * size, 2.3 * size


def heart_share(patient: Patient, found: Findings) -> float:
    """The heart's greatest width as a share of the rib cage's inside: the cardiothoracic ratio."""
    long, short, middle = _left_heart(patient, found)
    tilt = patient.heart_tilt
    reach = float(np.hypot(long * np.cos(tilt), short * np.sin(tilt)))
    right_rim = -0.9 - 3.1 * patient.heart * found.heart
    return (middle + reach - right_rim) / (2 * patient.chest)


def heart(grid: Grid, patient: Patient, placing: Placing, found: Findings, wobble: F) -> F:
    """Thickness of heart and great vessels; the middle of the body holds no lung beside them."""
    size = patient.heart * found.heart
    x = grid.x - placing.turn + 0.3 * wobble
    y = grid.y + 0.3 * wobble
    # The heart lies on the diaphragm: a shallow breath lifts both.
    floor = TOP + patient.lung_height * placing.inspiration + 0.6 * patient.dome_left
    long, short, middle = _left_heart(patient, found)
    left = ball(x, y, (middle, floor - 3.6 * size), (long, short), patient.heart_tilt)
    right = ball(x, y, (-0.9, floor - 4.2), (3.1 * size, 5.8 * size))
    trunk = ball(x, y, (2.2, floor - 9.6), (2.3 * size, 3.6))
    wide = 1 + 0.55 * found.mediastinum
    knob_y = floor - 14.2
    knob = ball(x, y, (1.7 * wide, knob_y), (1.6 * patient.aorta * wide, 1.9 * patient.aorta))
    # Superior vena cava and other vessels above the heart, the descending aorta behind it.
    upper = ball(x, y, (-0.3, floor - 13.0), (2.4 * wide, 10.5))
    aorta = np.clip(1 - ((x - 1.2) / (1.3 + 0.4 * patient.aorta)) ** 2, 0, None)
    aorta = np.sqrt(aorta) * _smooth((y - knob_y) / 3)
    parts = ((12.5, left), (12.5, right), (9.0, trunk), (7.0, knob), (6.0, upper), (3.0, aorta))
    # The fourth powers' sum lets one part run into the next without a crease.
    fourth = np.zeros_like(x)
    for depth, part in parts:
        fourth = fourth + depth**4 * part**2.4
    return np.asarray(fourth**0.25)


def airway(grid: Grid, placing: Placing) -> F:
    """Air in the windpipe and the two main bronchi."""
    x, y = grid.x - 0.5 * placing.turn, grid.y
    pipe = np.sqrt(np.clip(1 - (x / 0.85) ** 2, 0, None)) * _smooth((10.8 - y) / 0.8)
    air = 1.6 * pipe
    for side, slope, length in ((-1, 1.25, 3.2), (1, 0.8, 4.2)):
        down = y - 10.2
        away = np.abs(side * x * slope - down) / np.hypot(slope, 1)
        along = side * x
        branch = np.sqrt(np.clip(1 - (away / 0.62) ** 2, 0, None))
        air = np.maximum(air, 1.1 * branch * (along > 0) * _smooth((length - along) / 1.5))
    return np.asarray(air)


def stomach(grid: Grid, patient: Patient, placing: Placing, found: Findings, size: float) -> F:
    """Gas below the left dome."""
    level = dome_level(patient, placing, found, 1)
    gas = ball(grid.x, grid.y, (5.4, level + 1.6 + 1.5 * size), (3.4 * size, 1.7 * size), 0.15)
    return np.asarray(6 * size * gas * grid.edge(grid.y - level - 0.7, 0.3))
