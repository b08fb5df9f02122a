"""What is behind a bird and under it: sky, foliage out of focus, water, grass, and a branch."""

from __future__ import annotations

import math

import numpy as np

from bench.data.simulate_birds.bird import Pose, feet
from bench.data.simulate_birds.painting import (
    Colour,
    F,
    Grid,
    clouds,
    cone,
    covered,
    disc,
    mixed,
    paint,
    step,
)
from bench.data.simulate_birds.species import Species

_LEAVES: tuple[Colour, ...] = (
    *((0.20, 0.34, 0.12), (0.36, 0.46, 0.18), (0.14, 0.24, 0.14), (0.50, 0.50, 0.22)),
    *((0.45, 0.38, 0.24), (0.30, 0.28, 0.22)),
)
_SKIES: tuple[Colour, ...] = ((0.55, 0.72, 0.90), (0.78, 0.84, 0.90), (0.86, 0.86, 0.85))
_WATERS: tuple[Colour, ...] = ((0.25, 0.36, 0.42), (0.35, 0.42, 0.36), (0.45, 0.55, 0.65))
_EARTHS: tuple[Colour, ...] = ((0.48, 0.42, 0.30), (0.34, 0.42, 0.18), (0.62, 0.58, 0.48))
_BARK: tuple[Colour, ...] = ((0.36, 0.28, 0.21), (0.48, 0.43, 0.38), (0.25, 0.20, 0.17))


def _pick(rng: np.random.Generator, colours: tuple[Colour, ...]) -> F:
    base = np.asarray(colours[int(rng.integers(len(colours)))])
    return np.clip(base * rng.uniform(0.85, 1.15) + rng.normal(0, 0.02, 3), 0, 1).astype(np.float32)


def paint_scenery(
    species: Species, pose: Pose, size: tuple[int, int], rng: np.random.Generator
) -> F:
    """float32 [H, W, 3]: everything but the bird."""
    grid = Grid.of((slice(0, size[0]), slice(0, size[1])))
    open_sky = species.habit == "air" or rng.random() < 0.2
    canvas = _sky(rng, size, grid) if open_sky else _foliage(rng, size)
    if species.habit == "branch":
        _branches(canvas, species, pose, rng)
    elif species.habit == "ground":
        _ground(canvas, species, pose, grid, rng)
    elif pose.waterline is not None:
        _water(canvas, pose.waterline, grid, rng)
    return canvas


def _sky(rng: np.random.Generator, size: tuple[int, int], grid: Grid) -> F:
    colour = _pick(rng, _SKIES)
    height = grid.y / np.float32(size[0])
    cloud = step(clouds(rng, size, (2, 4, 8)), 0.1, 1.2) * np.float32(rng.uniform(0, 0.8))
    lower = mixed(colour, (0.93, 0.93, 0.92), np.broadcast_to(height * np.float32(0.6), size))
    return mixed(lower, (0.95, 0.95, 0.95), cloud)


def _foliage(rng: np.random.Generator, size: tuple[int, int]) -> F:
    """Leaves far out of focus, with discs of light between them."""
    dark, light = _pick(rng, _LEAVES) * np.float32(0.7), _pick(rng, _LEAVES)
    fine = (3, 6, 12) if rng.random() < 0.6 else (3, 6, 12, 24, 48)
    canvas = mixed(dark, light, step(clouds(rng, size, fine), -1.0, 1.0))
    canvas = mixed(canvas, _pick(rng, _SKIES), step(clouds(rng, size, (2, 5)), 0.5, 1.4))
    for _ in range(int(rng.integers(0, 7))):
        centre = float(rng.uniform(0, size[1])), float(rng.uniform(0, size[0]))
        spot = disc(size, centre, size[0] * float(rng.uniform(0.03, 0.09)), 0.03 * size[0])
        glow = step(spot.distance, 0.03 * size[0], -0.02 * size[0])
        strength = np.float32(rng.uniform(0.1, 0.4))
        paint(canvas[spot.window], glow * strength, (0.9, 0.92, 0.75))
    return canvas


def _branches(canvas: F, species: Species, pose: Pose, rng: np.random.Generator) -> None:
    """Some branches out of focus, and the one that the bird sits on, with its twigs and leaves."""
    size = height, width = canvas.shape[0], canvas.shape[1]
    bark, leaf = _pick(rng, _BARK), _pick(rng, _LEAVES[:4])
    for _ in range(int(rng.integers(0, 3))):
        left, right = rng.uniform(0, height, 2).tolist()
        ends = (0.0, left), (float(width), right)
        far = cone(size, *ends, height * 0.02, height * 0.03, 0.05 * height)
        blur = step(far.distance, 0.05 * height, -0.03 * height) * np.float32(0.6)
        paint(canvas[far.window], blur, bark * np.float32(0.8))
    (left_x, y), (right_x, _) = feet(species, pose)
    slope, thick = float(rng.normal(0, 0.12)), height * float(rng.uniform(0.018, 0.045))
    middle = (left_x + right_x) / 2
    left_end, right_end = ((x, y + thick * 0.9 + slope * (x - middle)) for x in (-9.0, width + 9.0))
    branch = cone(size, left_end, right_end, thick * 1.25, thick * 0.8)
    grain = clouds(rng, size, (40, 80))[branch.window] * np.float32(0.12)
    lit = bark * (np.float32(1.05) - np.float32(0.45) * branch.across + grain)[..., None]
    paint(canvas[branch.window], branch.cover, lit)
    for _ in range(int(rng.integers(0, 5))):
        x = float(rng.uniform(0, width))
        start = x, y + thick + slope * (x - middle)
        reach = height * float(rng.uniform(0.06, 0.16))
        turn = float(rng.uniform(0.3, 2.8)) * (1 if rng.random() < 0.6 else -1)
        end = start[0] + reach * math.cos(turn), start[1] + reach * math.sin(turn)
        blade = cone(size, start, end, height * 0.008, height * float(rng.uniform(0.015, 0.04)))
        lit = leaf * (np.float32(1) - np.float32(0.2) * blade.across)[..., None]
        paint(canvas[blade.window], blade.cover, lit)


def _ground(canvas: F, species: Species, pose: Pose, grid: Grid, rng: np.random.Generator) -> None:
    """Earth or grass, sharp where the bird stands and soft behind it."""
    height, width = canvas.shape[:2]
    (left_x, foot), (right_x, _) = feet(species, pose)
    horizon = foot - height * float(rng.uniform(0.1, 0.35))
    colour = _pick(rng, _EARTHS)
    rough = clouds(rng, (height, width), (20, 40, 80))
    near = step(np.broadcast_to(grid.y, rough.shape), horizon, foot)
    lit = colour * (np.float32(0.95) + np.float32(0.28) * rough * near)[..., None]
    edge = step(np.broadcast_to(grid.y, rough.shape), horizon - 0.04 * height, horizon + 2)
    paint(canvas, edge, lit)
    middle, spread = (left_x + right_x) / 2, 0.42 * pose.length
    flat = np.hypot(grid.x - np.float32(middle), (grid.y - np.float32(foot)) * np.float32(4))
    dark = step(flat, 1.25 * spread, 0.4 * spread)
    paint(canvas, dark * np.float32(0.45), colour * np.float32(0.35))


def _water(canvas: F, waterline: float, grid: Grid, rng: np.random.Generator) -> None:
    height, width = canvas.shape[:2]
    shore = waterline - height * float(rng.uniform(0.2, 0.5))
    colour = _pick(rng, _WATERS)
    drift = clouds(rng, (height, width), (3, 6))
    depth = np.clip((grid.y - np.float32(shore)) / np.float32(height - shore), 0.02, 1)
    waves = np.sin(np.float32(28) * np.sqrt(depth) + np.float32(5) * drift)
    lit = colour * (np.float32(1) + np.float32(0.16) * waves + np.float32(0.1) * drift)[..., None]
    paint(canvas, covered(np.broadcast_to(np.float32(shore) - grid.y, drift.shape)), lit)
