"""What is in the lungs: vessels that branch from the hila, and the findings in lung and pleura."""

from __future__ import annotations

import numpy as np
from PIL import Image

from bench.data.simulate_chest.findings import Findings, Opacity
from bench.data.simulate_chest.patient import Patient, Placing
from bench.data.simulate_chest.torso import TOP, D, F, Grid, Lung, dome_level, outer_border

_TRUNKS = 10  # vessels that leave a hilum
_GENERATIONS = 6
_POINTS = 12  # of each vessel between two branchings
_WIDTHS = (0.2, 0.12, 0.06)  # cm: blur of two generations each
_SHOWN = 3.6  # how much denser than blood alone: airway walls and what surrounds them


def cloud(grid: Grid, grain: float, rng: np.random.Generator) -> F:
    """Smooth noise of about unit variance, features of `grain` cm: float32 [S, S]."""
    coarse = max(4, round(grid.pixel * grid.side / grain))
    noise = Image.fromarray(rng.standard_normal((coarse, coarse), np.float32))
    return np.asarray(noise.resize((grid.side, grid.side), Image.Resampling.BICUBIC)) * 1.3


def vessels(
    grid: Grid, patient: Patient, placing: Placing, found: Findings, rng: np.random.Generator
) -> F:
    """Thickness of blood vessels and airway walls of both lungs."""
    swollen = 1 + 0.3 * found.edema
    drawn: list[list[tuple[D, D, D]]] = [[] for _ in _WIDTHS]
    for side in (-1, 1):
        hilum_y = dome_level(patient, placing, Findings(), side) - 11.2
        parents = _trunks(patient, placing, side, hilum_y, rng)
        for generation in range(_GENERATIONS):
            x, y, turn, length, radius = parents
            along = np.linspace(0, 1, _POINTS)[None]
            heading = turn[:, None] + rng.normal(0, 0.22, (len(x), 1)) * along
            step = (length / _POINTS)[:, None]
            px = x[:, None] + np.cumsum(np.cos(heading) * step, axis=1)
            py = y[:, None] + np.cumsum(np.sin(heading) * step, axis=1)
            thin = radius[:, None] * (1 - 0.22 * along)
            mass = _SHOWN * np.pi * (swollen * thin) ** 2 * step * patient.vessels
            points = (side * px.ravel(), py.ravel(), mass.ravel())
            drawn[min(generation // 2, len(drawn) - 1)].append(points)
            ends = (px[:, -1], py[:, -1], heading[:, -1], length, thin[:, -1])
            parents = _branch(ends, generation, rng)
    total = np.zeros_like(grid.x)
    for layer, width in zip(drawn, _WIDTHS, strict=True):
        at_x, at_y, masses = (np.concatenate(column) for column in zip(*layer, strict=True))
        total += grid.strokes(at_x, at_y, masses, width)
    return total


def _trunks(
    patient: Patient, placing: Placing, side: int, hilum_y: float, rng: np.random.Generator
) -> tuple[D, D, D, D, D]:
    turn = np.linspace(-1.35, 1.38, _TRUNKS) + rng.normal(0, 0.1, _TRUNKS)
    start = np.full(_TRUNKS, 2.9 + side * placing.turn * 0.5)
    height = hilum_y + 1.5 * np.sin(turn)
    reach = (dome_level(patient, placing, Findings(), side) - TOP) / 22
    length = 2.3 * reach * (1 + 0.35 * np.sin(np.clip(turn, 0, 2))) * rng.uniform(0.8, 1.2, _TRUNKS)
    thickest = 0.36 + 0.2 * np.clip(np.sin(turn), 0, 1)
    return start, height, turn, length, thickest * rng.uniform(0.75, 1.2, _TRUNKS)


def _branch(
    ends: tuple[D, D, D, D, D], generation: int, rng: np.random.Generator
) -> tuple[D, D, D, D, D]:
    x, y, turn, length, radius = (np.repeat(a, 2) for a in ends)
    count = len(x)
    apart = np.where(np.arange(count) % 2, 1, -1) * rng.uniform(0.15, 0.6, count)
    # A stem goes on, the other branch is thinner and turns away more.
    is_stem = np.arange(count) % 2 == rng.integers(0, 2, count // 2).repeat(2)
    turn = turn + np.where(is_stem, 0.35, 1.0) * apart
    radius = radius * np.where(is_stem, 0.86, 0.62)
    length = length * rng.uniform(0.75, 1.1, count) * (0.98 if generation else 0.9)
    return x, y, turn, length, radius


def aerated(
    grid: Grid, lung: Lung, patient: Patient, found: Findings, tree: F, rng: np.random.Generator
) -> F:
    """The lung's air with what is in it, cm: vessels and findings take the place of air."""
    side = lung.side
    inside = np.clip(lung.air / 4, 0, 1)
    fluid = tree * inside
    effusion, gas = found.effusion[side > 0], found.pneumothorax[side > 0]
    if found.edema:
        middle = np.exp(-(((lung.across - 0.25) / 0.33) ** 2) - ((lung.level - 0.6) / 0.36) ** 2)
        fine = 0.75 + 0.3 * cloud(grid, 1.6, rng) + 0.25 * cloud(grid, 0.7, rng)
        fluid = fluid + found.edema * inside * (3.4 * middle + 1.1) * np.clip(fine, 0, None)
    for opacity in found.opacities:
        if opacity.side == side:
            fluid = fluid + inside * _cloudy(grid, lung, patient, opacity, rng)
    for nodule in found.nodules:
        if nodule.side == side:
            fluid = fluid + inside * _nodule(grid, patient, nodule, rng)
    collapse = found.atelectasis[side > 0]
    if collapse:
        for _ in range(2):
            height, lean = rng.uniform(0.6, 3.2), rng.normal(0.12, 0.12)
            line = lung.dome - height - lean * (np.abs(grid.x) - 7)
            reach = np.exp(-(((lung.across - rng.uniform(0.3, 0.7)) / 0.3) ** 4))
            fluid = fluid + 1.9 * collapse * inside * np.exp(-((line / 0.26) ** 2)) * reach
        low = np.exp(-np.clip(lung.dome, 0, None) / 2.6)
        fluid = fluid + 2.6 * collapse * inside * low * (1 + 0.25 * cloud(grid, 1.5, rng))
    thickened = found.pleura[side > 0]
    if thickened:
        rim = np.exp(-((lung.outer / (0.8 + 0.3 * cloud(grid, 3.0, rng))) ** 2))
        fluid = fluid + 4.2 * thickened * rim * inside
    if gas:
        # The lung has fallen away from the chest wall: a rim without vessels, then a thin line.
        gap = gas * (0.7 + 2.6 * np.clip(1 - lung.level, 0, 1) ** 1.5)
        depth = np.minimum(lung.outer, grid.y - TOP + 0.4) - gap
        within = grid.edge(depth, 0.1)
        pleura = np.exp(-((depth / 0.13) ** 2)) * inside
        fluid = fluid * within + 0.55 * pleura + (0.7 + 1.6 * gas) * within * inside
    air = np.clip(lung.air - fluid, 0, None)
    if effusion:
        # The fluid's upper border climbs along the chest wall.
        height = effusion * (2.2 + 7.0 * effusion)
        slope = 0.35 + 0.65 * lung.across**2 + 0.35 * np.clip(lung.across - 0.8, 0, 1)
        above = lung.dome - height * slope + 0.15 * cloud(grid, 4.0, rng)
        air = air * (0.04 + 0.96 * grid.edge(above + 0.3, 0.5 + 0.35 * effusion))
        # What is not under water is seen through the fluid behind it.
        air = air * (1 - 0.35 * effusion * np.clip(1 - above / 9, 0, 1))
    return np.asarray(air)


def _at(patient: Patient, opacity: Opacity) -> tuple[float, float]:
    y = TOP + opacity.level * patient.lung_height
    outer = float(outer_border(patient, y))
    return opacity.side * (2.3 + opacity.across * (outer - 2.3)), y


def _cloudy(
    grid: Grid, lung: Lung, patient: Patient, opacity: Opacity, rng: np.random.Generator
) -> F:
    at_x, at_y = _at(patient, opacity)
    rough = 0.28 * cloud(grid, 2.4, rng) + 0.16 * cloud(grid, 1.0, rng)
    distance = np.hypot(grid.x - at_x, 1.15 * (grid.y - at_y)) / opacity.radius + rough
    bulk = 0.5 - 0.5 * np.tanh((distance - 0.85) / 0.34)
    patchy = 0.8 + 0.22 * cloud(grid, 1.1, rng)
    return np.asarray(6.5 * opacity.density * bulk * patchy)


def _nodule(grid: Grid, patient: Patient, nodule: Opacity, rng: np.random.Generator) -> F:
    at_x, at_y = _at(patient, nodule)
    uneven = 1 + 0.06 * cloud(grid, 1.2, rng)
    distance = np.hypot(grid.x - at_x, grid.y - at_y) / nodule.radius * uneven
    bulk = np.sqrt(np.clip(1 - distance**2, 0, None))
    return np.asarray((1.2 + 1.7 * nodule.radius) * nodule.density * bulk)
