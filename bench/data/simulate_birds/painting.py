"""A canvas and the shapes on it: cones with round ends, of which a bird is made, and soft edges.

Shapes are signed distances in pixels, negative inside; a pixel's coverage falls from 1 to 0 over
one pixel around the edge. A shape is worked out in the window around it alone. Colours are in
0..1, the canvas is float32 [H, W, 3].
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

F = NDArray[np.float32]
Point = tuple[float, float]
Colour = tuple[float, float, float]
Window = tuple[slice, slice]  # rows and columns of the canvas


@dataclass(frozen=True, kw_only=True)
class Grid:
    """The places of pixels' centres; x and y float32 [H, W], or broadcastable to it."""

    x: F
    y: F

    @classmethod
    def of(cls, window: Window) -> Grid:
        rows, columns = window
        x = np.arange(columns.start, columns.stop, dtype=np.float32) + np.float32(0.5)
        y = np.arange(rows.start, rows.stop, dtype=np.float32) + np.float32(0.5)
        return cls(x=x[None], y=y[:, None])


@dataclass(frozen=True, kw_only=True)
class Shape:
    """All arrays are those of the window.

    distance: signed, pixels. along: 0 at the cone's start to 1 at its end. across: -1 to 1 from one
    side to the other, 0 on its axis.
    """

    window: Window
    distance: F
    along: F
    across: F

    @property
    def cover(self) -> F:
        return covered(self.distance)


def covered(distance: F) -> F:
    cover: F = np.clip(np.float32(0.5) - distance, 0, 1)
    return cover


def step(value: F, low: float, high: float) -> F:
    """0 below `low`, 1 above `high`, smooth between; the other way round where low > high."""
    share = np.clip((value - np.float32(low)) / np.float32(high - low), 0, 1)
    smooth: F = share * share * (np.float32(3) - np.float32(2) * share)
    return smooth


def window_around(size: tuple[int, int], points: Sequence[Point], reach: float) -> Window:
    """The part of a canvas within `reach` of the points' hull; at least one pixel."""
    slices = []
    for side, values in zip(size, zip(*((y, x) for x, y in points), strict=True), strict=True):
        start = min(max(math.floor(min(values) - reach), 0), side - 1)
        stop = max(min(math.ceil(max(values) + reach), side), start + 1)
        slices.append(slice(start, stop))
    return slices[0], slices[1]


def cone(
    size: tuple[int, int],
    start: Point,
    end: Point,
    from_radius: float,
    to_radius: float,
    margin: float = 1.0,
) -> Shape:
    """The hull of two discs, but that the radius is taken at the nearest point of the axis; known
    to `margin` pixels beyond its edge. size: of the canvas."""
    window = window_around(size, (start, end), max(from_radius, to_radius) + margin)
    grid = Grid.of(window)
    dx, dy = end[0] - start[0], end[1] - start[1]
    square = max(dx * dx + dy * dy, 1e-6)
    x, y = grid.x - np.float32(start[0]), grid.y - np.float32(start[1])
    raw = (x * np.float32(dx) + y * np.float32(dy)) / np.float32(square)
    along: F = np.clip(raw, 0, 1)
    radius = np.float32(from_radius) + along * np.float32(to_radius - from_radius)
    off_x, off_y = x - along * np.float32(dx), y - along * np.float32(dy)
    side = (y * np.float32(dx) - x * np.float32(dy)) / np.float32(square**0.5)
    distance: F = np.sqrt(off_x * off_x + off_y * off_y) - radius
    return Shape(
        window=window,
        distance=distance,
        along=along,
        across=np.clip(side / np.maximum(radius, np.float32(0.5)), -1, 1),
    )


def disc(size: tuple[int, int], centre: Point, radius: float, margin: float = 1.0) -> Shape:
    """A cone without length."""
    return cone(size, centre, centre, radius, radius, margin)


def paint(canvas: F, cover: F, colour: Colour | F) -> None:
    """Lays colour over the canvas, in place."""
    tint = np.asarray(colour, np.float32)
    canvas += (tint - canvas) * cover[..., None]


def mixed(one: Colour | F, other: Colour | F, share: F | float) -> F:
    """`one` where share is 0, `other` where it is 1."""
    a, b = np.asarray(one, np.float32), np.asarray(other, np.float32)
    t = np.asarray(share, np.float32)[..., None]
    blend: F = a + (b - a) * t
    return blend


def clouds(rng: np.random.Generator, size: tuple[int, int], cells: Sequence[int]) -> F:
    """Smooth noise [H, W] in about -1..1: uniform grids of so many cells a side, enlarged; each
    next finer one at half the weight."""
    height, width = size
    total, weight = np.zeros(size, np.float32), 1.0
    for count in cells:
        shape = (count, max(2, round(count * width / height)))
        coarse = Image.fromarray(rng.uniform(-1, 1, shape).astype(np.float32))
        total += np.float32(weight) * np.asarray(
            coarse.resize((width, height), Image.Resampling.BICUBIC)
        )
        weight /= 2
    return total
