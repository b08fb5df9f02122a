"""Devices: what is metal or plastic in and on the patient, as thickness of metal.

A curve is a row of points along a spline through a few places; width and density make a catheter, a
lead, a wire or a tube of it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.interpolate import CubicSpline

from bench.data.simulate_chest.findings import Findings
from bench.data.simulate_chest.patient import Patient
from bench.data.simulate_chest.torso import TOP, F, Grid

_STEP = 0.06  # cm between two points of a curve

Place = tuple[float, float]


def devices(grid: Grid, patient: Patient, found: Findings, rng: np.random.Generator) -> F:
    """Metal along the beam: about 1 is white."""
    metal = np.zeros_like(grid.x)
    draw = {
        "pacemaker": _pacemaker,
        "line": _line,
        "tube": _tube,
        "feeding tube": _feeding_tube,
        "chest tube": _chest_tube,
        "electrodes": _electrodes,
        "wires": _wires,
    }
    for name, make in draw.items():
        if name in found.devices:
            metal += make(grid, patient, found, rng)
    return metal


def _curve(grid: Grid, places: Sequence[Place], width: float, density: float) -> F:
    points = np.array(places, float)
    distance = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    along = np.arange(0, distance[-1], _STEP)
    x, y = CubicSpline(distance, points)(along).T
    mass = np.full(len(along), density * width * _STEP)
    return grid.strokes(x, y, mass, width / 3)


def _pacemaker(grid: Grid, patient: Patient, found: Findings, rng: np.random.Generator) -> F:
    at = np.array([rng.normal(9.3, 0.7), rng.normal(6.6, 0.8)])
    lean = rng.normal(0.3, 0.25)
    dx, dy = grid.x - np.float32(at[0]), grid.y - np.float32(at[1])
    u, v = dx * np.cos(lean) + dy * np.sin(lean), dy * np.cos(lean) - dx * np.sin(lean)
    inside = 1 - (np.abs(u / 2.4) ** 3 + np.abs(v / 1.9) ** 3)
    can = grid.edge(inside.astype(np.float32) * 2, 0.12)
    detail = 0.8 + 0.25 * (v < -1.0) + 0.15 * (np.hypot(u, v - 0.4) < 0.9)
    size = patient.heart * found.heart
    base = TOP + patient.lung_height - 5
    tips = [(3.4 * size, base + 4.0), (-2.2 * size, base - 1.5)][: 1 + int(rng.integers(2))]
    metal = 2.2 * can * detail
    for tip in tips:
        start = (at[0] - 1.6, at[1] - 1.4)
        way = [start, (6.2, 3.6), (1.5, 4.6), (-1.6, 7.2), (-2.3, base - 3.0), tip]
        metal = metal + _curve(grid, way, 0.2, 0.9)
        metal = metal + _curve(grid, [way[-1], (tip[0] + 0.5, tip[1] + 0.2)], 0.3, 1.6)
    return np.asarray(metal, np.float32)


def _line(grid: Grid, patient: Patient, found: Findings, rng: np.random.Generator) -> F:
    tip = (float(rng.normal(-2.2, 0.3)), float(rng.normal(12.0, 1.5)))
    kind = int(rng.integers(3))
    start: list[Place] = [
        [(-4.6, -6.0), (-3.4, -1.0), (-2.6, 4.0)],  # from the right side of the neck
        [(-15.5, 9.0), (-12.0, 3.6), (-6.5, 3.2), (-2.9, 5.6)],  # from the right arm
        [(13.5, 8.0), (10.0, 3.4), (5.0, 3.8), (0.6, 5.8), (-1.7, 8.0)],  # from the left
    ][kind]
    moved = [(x + rng.normal(0, 0.25), y + rng.normal(0, 0.3)) for x, y in start]
    return _curve(grid, [*moved, tip], 0.2, 0.65)


def _tube(grid: Grid, patient: Patient, found: Findings, rng: np.random.Generator) -> F:
    tip = float(rng.normal(7.0, 1.0))
    lean = float(rng.normal(0, 0.2))
    way = [(lean, -7.0), (0.5 * lean, 0.0), (0.0, tip)]
    both = sum(_curve(grid, [(x + off, y) for x, y in way], 0.14, 0.45) for off in (-0.42, 0.42))
    return np.asarray(both + _curve(grid, [(x + 0.42, y) for x, y in way], 0.16, 0.5), np.float32)


def _feeding_tube(grid: Grid, patient: Patient, found: Findings, rng: np.random.Generator) -> F:
    floor = TOP + patient.lung_height
    way = [
        (rng.normal(0.3, 0.2), -7.0), (0.4, 2.0), (rng.normal(0.6, 0.3), 12.0),
        (rng.normal(1.0, 0.4), floor - 3), (3.2, floor + 1.5), (rng.normal(6.0, 1.0), floor + 4.5),
    ]  # fmt: skip
    return _curve(grid, way, 0.24, 0.55)


def _chest_tube(grid: Grid, patient: Patient, found: Findings, rng: np.random.Generator) -> F:
    sides = np.array(found.effusion) + 2 * np.array(found.pneumothorax)
    side = 1 if sides[1] > sides[0] or (sides[0] == sides[1] and rng.random() < 0.5) else -1
    level = float(rng.normal(18, 1.5))
    way = [
        (side * (patient.chest + 5.0), level + 2.5), (side * (patient.chest + 0.5), level),
        (side * (patient.chest - 2.2), level - 5), (side * rng.normal(7.0, 1.0), 5.0),
    ]  # fmt: skip
    return _curve(grid, way, 0.32, 0.4) + _curve(grid, way, 0.12, 0.55)


def _electrodes(grid: Grid, patient: Patient, found: Findings, rng: np.random.Generator) -> F:
    metal = np.zeros_like(grid.x)
    places = [(-10.0, 4.5), (10.0, 4.5), (-10.5, 22.0), (11.0, 22.5), (4.5, 15.0)]
    count = int(rng.integers(2, len(places) + 1))
    gather = (float(rng.normal(0, 9)), 34.0)
    for index in rng.permutation(len(places))[:count]:
        x, y = (float(v + rng.normal(0, 1.2)) for v in places[index])
        distance = np.hypot(grid.x - x, grid.y - y)
        metal += 0.55 * grid.edge((0.62 - distance).astype(np.float32))
        metal += 0.7 * grid.edge((0.28 - distance).astype(np.float32))
        out = 1.0 if x > 0 else -1.0
        half = (x + out * rng.uniform(0.5, 4), (y + gather[1]) / 2 + rng.normal(0, 2.5))
        near = (x + rng.normal(0, 1.5), y + rng.uniform(1.0, 3.5))
        metal += _curve(grid, [(x, y), near, half, gather], 0.15, 0.42)
    return metal


def _wires(grid: Grid, patient: Patient, found: Findings, rng: np.random.Generator) -> F:
    """Loops that hold a breastbone together after heart surgery, and a few clips."""
    metal = np.zeros_like(grid.x)
    lean = rng.normal(0, 0.3)
    for number in range(int(rng.integers(5, 8))):
        x, y = lean + rng.normal(0, 0.15), 6.0 + 2.4 * number + rng.normal(0, 0.2)
        a, b = rng.uniform(0.5, 0.8), rng.uniform(0.25, 0.45)
        turn = np.linspace(0, 2 * np.pi, 9)
        loop = [(x + a * np.cos(t), y + b * np.sin(t)) for t in turn]
        metal += _curve(grid, loop, 0.12, 1.0)
    for _ in range(int(rng.integers(2, 6))):
        x, y = rng.normal(2.5, 1.2), rng.normal(13, 2.5)
        metal += _curve(grid, [(x, y), (x + 0.3, y + rng.normal(0.2, 0.3))], 0.14, 1.4)
    return metal
