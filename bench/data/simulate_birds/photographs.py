"""Takes the photographs and writes them as CUB-200-2011 lays them out.

The bounding box is that of the pixels of which the bird covers half or more, right to the pixel.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.data.readers.cub import Row, write_tables
from bench.data.simulate_birds import SimulationSize
from bench.data.simulate_birds.bird import draw_pose, paint_bird
from bench.data.simulate_birds.painting import clouds, paint
from bench.data.simulate_birds.scenery import paint_scenery
from bench.data.simulate_birds.species import Species, draw_species
from bench.streams import stream

_ASPECT = 4 / 3
_QUALITY = 92  # of the JPEG files
_REFLECTION = 0.3

Rectangle = tuple[int, int, int, int]  # x, y, width, height


def write_set(size: SimulationSize, root: Path) -> None:
    """Draws, encodes and lists size.photos photographs of each species."""
    rows: list[Row] = []
    for place in range(size.species):
        species = draw_species(stream(size.seed, "simulate-birds species", place), place)
        folder = root / "images" / species.name
        folder.mkdir(parents=True)
        for photo in range(size.photos):
            rng = stream(size.seed, f"simulate-birds photo of species {place}", photo)
            picture, box = photograph(species, size.side, rng)
            file = f"{species.name.partition('.')[2]}_{photo:04d}.jpg"
            Image.fromarray(picture).save(folder / file, quality=_QUALITY)
            rows.append((f"{species.name}/{file}", box, 1 - photo % 2))
    write_tables(root, rows)


def photograph(
    species: Species, side: int, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], Rectangle]:
    """uint8 [side, 4/3 side, 3], and the bird's bounding box in it."""
    size = side, round(side * _ASPECT)
    pose = draw_pose(rng, species, *size)
    canvas = paint_scenery(species, pose, size, rng)
    bird = paint_bird(species, pose, size, rng)
    if pose.waterline is not None:
        _reflect(canvas, bird.colour, bird.cover, round(pose.waterline))
    paint(canvas, bird.cover, bird.colour)
    exposure = float(rng.uniform(0.88, 1.1))
    grain = rng.standard_normal((*size, 1), dtype=np.float32) * np.float32(rng.uniform(0.004, 0.02))
    fall = np.float32(1) + np.float32(0.06) * clouds(rng, size, (2,))[..., None]
    developed = np.clip(canvas * np.float32(exposure) * fall + grain, 0, 1)
    picture = np.rint(developed * np.float32(255)).astype(np.uint8)
    return picture, bounding_box(bird.cover >= 0.5)


def _reflect(canvas: NDArray[np.float32], colour: NDArray[np.float32],
             cover: NDArray[np.float32], line: int) -> None:  # fmt: skip
    rows = min(line, len(canvas) - line)
    mirrored = slice(line - rows, line)
    below = slice(line, line + rows)
    part = canvas[below]
    paint(part, cover[mirrored][::-1] * np.float32(_REFLECTION), colour[mirrored][::-1])


def bounding_box(inside: NDArray[np.bool_]) -> Rectangle:
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    top, left = int(rows[0]), int(columns[0])
    return left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top
