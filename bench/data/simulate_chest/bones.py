"""The bones: ribs, spine, collar bones, shoulder blades and upper arms, as mineral thickness.

A rib is a hoop that is tilted forwards: seen from the front an ellipse, whose upper half is the
rib's back part, which shows well, and whose lower half is its front, which ends in cartilage.
"""

from __future__ import annotations

import numpy as np

from bench.data.simulate_chest.findings import Findings
from bench.data.simulate_chest.patient import Patient, Placing
from bench.data.simulate_chest.torso import F, Grid, ball, outer_border

RIBS = 11
_RIM = 0.16  # cm: the hard shell of a bone


def bones(
    grid: Grid, patient: Patient, placing: Placing, found: Findings, rng: np.random.Generator
) -> F:
    """Mineral along the beam, as if it were cm of bone."""
    mineral = _ribs(grid, patient, found, rng)
    mineral += _spine(grid, patient, rng)
    for side in (-1, 1):
        mineral += _collar_bone(grid, patient, placing, side, rng)
        mineral += _shoulder(grid, patient, placing, side)
    return np.asarray(mineral * patient.bone)


def _tube(distance: F, half: float | F) -> F:
    """A bone's profile across it: a shell that is brighter than its marrow."""
    inside = np.sqrt(np.clip(1 - (distance / half) ** 2, 0, None))
    core = np.sqrt(np.clip(1 - (distance / np.maximum(half - _RIM, 0.05)) ** 2, 0, None))
    return np.asarray(inside - 0.55 * core)


def _ribs(grid: Grid, patient: Patient, found: Findings, rng: np.random.Generator) -> F:
    total = np.zeros_like(grid.x)
    odd = rng.normal(0, 1, (RIBS, 2, 3))
    first = -1.4 + rng.normal(0, 0.25)
    highest, lowest = grid.y.min(axis=1), grid.y.max(axis=1)
    for number in range(RIBS):
        head = first + patient.rib_spacing * number * (0.93 + 0.012 * number)
        drop = patient.rib_drop * (0.52 + 0.48 * min(1, (number + 1) / 6))
        level, reach = head + drop / 2, drop / 2
        rows = (lowest > level - reach - 2) & (highest < level + reach + 2)
        if not rows.any():
            continue
        band = slice(int(rows.argmax()), len(rows) - int(rows[::-1].argmax()))
        across = grid.x[band]
        x, y = np.abs(across), grid.y[band]
        is_left = (across > 0).astype(np.float32)
        lift, bend, thicken = (
            float(a) + float(b - a) * is_left for a, b in zip(*odd[number], strict=True)
        )
        width = max(float(outer_border(patient, level + 0.35 * drop)) + 0.35, 5.2)
        half = patient.rib_width * (1 + 0.08 * thicken) * (0.85 + 0.25 * min(1, number / 4))
        rise = reach * (1 + 0.03 * bend)
        # Near the spine a rib first runs a little upwards.
        v = (y - level - 0.12 * lift + 0.5 * np.exp(-x / 2.5)) / rise
        u = x / width
        radius = np.sqrt(u * u + v * v) + 1e-6
        slope = np.sqrt((u / width) ** 2 + (v / rise) ** 2) / radius
        distance = np.abs(radius - 1) / np.maximum(slope, 1e-4)
        is_back = v < 0
        front = max(0.0, 0.75 - 0.09 * max(0, number - 5)) * grid.edge(x - 5.0 - 0.35 * number, 0.8)
        back = 1.0 if number < 9 else 0.6
        shown = np.where(is_back, back, front).astype(np.float32)
        for side, broken in found.broken_ribs:
            if broken == number:
                past = (x > 0.78 * width) & (is_left == (side > 0))
                distance = distance + 0.45 * past
                shown = shown * np.where(np.abs(x - 0.78 * width) < 0.2, 1 - past, 1)
        total[band] += shown * _tube(distance, np.where(is_back, half, 1.2 * half))
    return total


def _spine(grid: Grid, patient: Patient, rng: np.random.Generator) -> F:
    y = grid.y
    bend = patient.scoliosis * np.sin((y - 4) / 9 + rng.uniform(0, 6)) * 0.6
    x = grid.x - bend
    half = 1.45 + 0.018 * np.clip(y, -5, 35)
    across = np.sqrt(np.clip(1 - (x / half) ** 2, 0, None))
    height = 2.05 + 0.022 * np.clip(y, 0, 35)
    phase = (y - rng.uniform(0, 2)) / height
    place = phase - np.floor(phase)  # 0 and 1: the disc
    disc = np.clip(1 - np.minimum(place, 1 - place) / 0.16, 0, 1)
    mineral = across * (0.8 - 0.42 * disc)
    row = place - 0.38
    pedicle = np.exp(-(((np.abs(x) - 0.72 * half) / 0.28) ** 2) - (row * height / 0.36) ** 2)
    spinous = np.exp(-((x / 0.22) ** 2) - ((place - 0.75) * height / 0.45) ** 2)
    transverse = np.exp(-((row * height / 0.42) ** 2)) * np.clip(1 - (np.abs(x) / 3.0) ** 4, 0, 1)
    return np.asarray(mineral + 0.35 * pedicle + 0.35 * spinous + 0.22 * transverse, np.float32)


def _collar_bone(
    grid: Grid, patient: Patient, placing: Placing, side: int, rng: np.random.Generator
) -> F:
    x = side * (grid.x - placing.turn) - 1.6
    length = 14.2 + rng.normal(0, 0.4)
    share = np.clip(x / length, 0, 1)
    rise = 2.2 + 0.8 * placing.arms_up + rng.normal(0, 0.4)
    line = 3.9 - rise * share + 0.95 * np.sin(2 * np.pi * (share - 0.05)) * 0.6
    half = 0.5 + 0.32 * (1 - np.clip(x / 2.5, 0, 1)) ** 2 + 0.12 * share
    slope = np.hypot(1, (rise - 3.2 * np.cos(2 * np.pi * share)) / length)
    ends = grid.edge(x + 0.2, 0.3) * grid.edge(length - x, 0.3)
    return np.asarray(1.7 * _tube((grid.y - line) / slope, half) * ends, np.float32)


def _shoulder(grid: Grid, patient: Patient, placing: Placing, side: int) -> F:
    """Shoulder blade, its neck, and the head and shaft of the upper arm."""
    x, y = side * grid.x, grid.y
    out = 1.6 * placing.arms_up
    joint_x, joint_y = patient.chest + 3.2 + out, 3.2 + 0.5 * patient.shoulder
    head = ball(x, y, (joint_x + 1.9, joint_y), (2.4, 2.5))
    shaft = _tube(x - joint_x - 2.9 - 0.12 * out * (y - joint_y), 1.25)
    shaft = shaft * grid.edge(y - joint_y - 0.5, 0.8)
    inner_border = patient.chest - 3.4 + out
    lean = inner_border + 0.16 * (y - 12)
    blade = grid.edge(x - lean, 0.15) * grid.edge(joint_x - 0.45 * (y - joint_y) - x, 0.4)
    blade = blade * grid.edge(y - 2.2, 0.4) * grid.edge(15.5 - y, 0.5)
    rim = np.exp(-(((x - lean) / 0.28) ** 2)) * grid.edge(y - 3, 0.5) * grid.edge(15 - y, 0.8)
    outer_rim = np.exp(-(((x - joint_x + 0.45 * (y - joint_y) + 0.3) / 0.35) ** 2))
    outer_rim = outer_rim * grid.edge(y - joint_y, 0.5) * grid.edge(15 - y, 0.8)
    roof = _tube((y - 0.9 - 0.10 * (joint_x - x)), 0.55) * grid.edge(x - 8.5, 0.6)
    roof = roof * grid.edge(joint_x + 2.4 - x, 0.4)
    return np.asarray(
        1.35 * np.sqrt(head)
        + 0.9 * shaft
        + 0.22 * blade
        + 0.3 * rim
        + 0.4 * outer_rim
        + 0.5 * roof,
        np.float32,
    )
