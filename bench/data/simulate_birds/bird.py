"""One bird of a species in its pose, painted from back to front.

The bird's own frame has its origin in the middle of the body, x towards the beak, y downwards, the
body's length as unit; a pose turns, mirrors and places it in the photograph. What is painted is
kept apart from the scenery, with its coverage, from which the bounding box is taken.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from bench.data.simulate_birds.painting import (
    Colour,
    F,
    Grid,
    Point,
    Shape,
    clouds,
    cone,
    covered,
    disc,
    mixed,
    paint,
    step,
)
from bench.data.simulate_birds.species import Species

_RUMP, _BREAST, _SHOULDER = (-0.38, 0.02), (0.2, 0.0), (0.14, -0.06)
_RUMP_RADIUS, _BREAST_RADIUS = 0.15, 0.255
_DARK: Colour = (0.04, 0.04, 0.05)
_PALE: Colour = (0.95, 0.93, 0.88)


@dataclass(frozen=True, kw_only=True)
class Pose:
    """Where a bird is in the photograph and what it does. Lengths in pixels, angles in radians."""

    x: float
    y: float
    length: float  # of the body
    tilt: float  # breast up
    faces_left: bool
    neck_angle: float  # of the head above the body's axis
    gaze: float  # of the beak below the body's axis
    tail_angle: float
    stride: float  # between the feet
    wing_lift: float  # of spread wings in flight
    light: float  # brightness of the day
    waterline: float | None  # y below which the bird is under water

    def at(self, point: Point) -> Point:
        """From the bird's frame to the photograph."""
        x, y = point
        c, s = math.cos(self.tilt), math.sin(self.tilt)
        along, down = x * c + y * s, y * c - x * s
        return (
            self.x + self.length * (-along if self.faces_left else along),
            self.y + self.length * down,
        )


def draw_pose(rng: np.random.Generator, species: Species, height: int, width: int) -> Pose:
    flies, swims = species.habit == "air", species.habit == "water"
    upright = 0.08 if swims else 0.0 if flies else float(rng.uniform(0.15, 0.75))
    length = height * float(rng.uniform(0.36, 0.5)) * (0.9 if flies else 1.0)
    y = height * float(rng.uniform(0.42, 0.54))
    return Pose(
        x=width * float(rng.uniform(0.42, 0.58)),
        y=y,
        length=length,
        tilt=upright + float(rng.normal(0, 0.25 if flies else 0.07)),
        faces_left=bool(rng.random() < 0.5),
        neck_angle=float(rng.uniform(0.1, 0.4) if flies else rng.uniform(0.5, 1.15)),
        gaze=float(rng.normal(0.35 * (upright > 0), 0.22)),
        tail_angle=float(rng.normal(0.05, 0.12)),
        stride=float(rng.uniform(0.05, 0.16)),
        wing_lift=float(rng.uniform(-0.6, 1.3)),
        light=float(rng.uniform(0.82, 1.12)),
        waterline=y + 0.13 * length if swims else None,
    )


def feet(species: Species, pose: Pose) -> tuple[Point, Point]:
    """Where the toes are: straight below the belly, whatever the tilt."""
    x, y = pose.at((-0.04, 0.2))
    drop, apart = species.legs * pose.length, pose.stride * pose.length
    return (x - apart / 2, y + drop), (x + apart / 2, y + drop)


@dataclass(frozen=True, kw_only=True)
class Painted:
    """colour: float32 [H, W, 3]; cover: [H, W], 1 on the bird."""

    colour: F
    cover: F


def paint_bird(
    species: Species, pose: Pose, size: tuple[int, int], rng: np.random.Generator
) -> Painted:
    return _Painter(species, pose, clouds(rng, size, (24, 48))).painted()


class _Painter:
    def __init__(self, species: Species, pose: Pose, texture: F) -> None:
        self.species, self.pose, self.texture = species, pose, texture
        self.size = texture.shape[0], texture.shape[1]
        self.colour = np.zeros((*self.size, 3), np.float32)
        self.cover = np.zeros(self.size, np.float32)
        # the head lies at an angle to the axis; its parts turn with the gaze
        turn = pose.neck_angle
        self.head = (
            _BREAST[0] + species.neck * math.cos(turn) * 0.9,
            _BREAST[1] - species.neck * math.sin(turn) * 1.15,
        )

    def painted(self) -> Painted:
        flies = self.species.habit == "air"
        if flies:
            self._spread_wing(far=True)
        self._legs()
        self._tail()
        self._beak()
        self._body()
        self._head()
        self._spread_wing(far=False) if flies else self._folded_wing()
        if self.pose.waterline is not None:
            rows = np.arange(self.size[0], dtype=np.float32)[:, None] + np.float32(0.5)
            self.cover *= covered(rows - np.float32(self.pose.waterline))
        return Painted(colour=np.clip(self.colour, 0, 1), cover=self.cover)

    def _cone(self, start: Point, end: Point, from_radius: float, to_radius: float) -> Shape:
        scale = self.pose.length
        return cone(
            self.size,
            self.pose.at(start),
            self.pose.at(end),
            from_radius * scale,
            to_radius * scale,
        )

    def _lay(self, shape: Shape, colour: Colour | F, *, round_: float = 0.3) -> None:
        """Paints a lit shape: darker towards its lower side and its rim, rough as feathers are."""
        down = self._down(shape)
        rim = np.clip(-shape.distance / np.float32(0.1 * self.pose.length), 0, 1)
        light = np.float32(self.pose.light) * (
            np.float32(1.06) - np.float32(round_) * step(down, -0.4, 1.2)
        )
        light = light * (np.float32(0.82) + np.float32(0.18) * rim)
        light = light * (np.float32(1) + np.float32(0.09) * self.texture[shape.window])
        lit = np.asarray(colour, np.float32) * light[..., None]
        self._dye(shape, lit)
        covered_so_far = self.cover[shape.window]
        np.maximum(covered_so_far, shape.cover, out=covered_so_far)

    def _dye(self, shape: Shape, colour: Colour | F, cover: F | None = None) -> None:
        """Paints on what is there already, flat."""
        paint(self.colour[shape.window], shape.cover if cover is None else cover, colour)

    def _down(self, shape: Shape) -> F:
        """`across` with 1 at the bird's lower side, as it is drawn along its axis from the tail."""
        return -shape.across if self.pose.faces_left else shape.across

    def _body(self) -> None:
        species = self.species
        radii = _RUMP_RADIUS * species.plump, _BREAST_RADIUS * species.plump
        shape = self._cone(_RUMP, _BREAST, *radii)
        down = self._down(shape)
        line = species.belly_line
        colour = mixed(species.back, species.belly, step(down, line - 0.25, line + 0.25))
        if species.streaks:
            stripe = np.sin(shape.along * np.float32(30)) * np.sin(down * np.float32(11))
            on_breast = step(down, line, line + 0.3) * step(shape.along, 0.35, 0.7)
            marks = np.float32(species.streaks) * step(stripe, 0.1, 0.5) * on_breast
            colour = mixed(colour, np.multiply(species.back, 0.6), marks)
        self._lay(shape, colour)
        neck = self._cone(_BREAST, self.head, 0.8 * radii[1], 0.85 * species.head)
        down = self._down(neck)
        nape = mixed(species.crown, species.back, step(neck.along, 0.9, 0.2))
        front = mixed(species.throat, species.belly, step(neck.along, 0.7, 0.2))
        self._lay(neck, mixed(nape, front, step(down, line - 0.3, line + 0.2)), round_=0.2)

    def _gazing(self, x: float, y: float) -> Point:
        """A point of the head's own frame, turned with the gaze."""
        c, s = math.cos(self.pose.gaze), math.sin(self.pose.gaze)
        return self.head[0] + x * c - y * s, self.head[1] + x * s + y * c

    def _head(self) -> None:
        species, radius = self.species, self.species.head
        if species.crest:
            tip = self._gazing(-radius - species.crest, -radius - 0.5 * species.crest)
            self._lay(self._cone(self._gazing(0, -0.5 * radius), tip, 0.1, 0.012), species.crown)
        shape = self._cone(self._gazing(-0.15 * radius, 0), self._gazing(0.2 * radius, 0.02),
                           radius, 0.92 * radius)  # fmt: skip
        down = self._down(shape)
        colour = mixed(species.cheek, species.crown, step(down, -0.05, -0.35))
        colour = mixed(colour, species.throat, step(down, 0.35, 0.6))
        self._lay(shape, colour, round_=0.22)
        scale = self.pose.length
        eye = self._gazing(0.42 * radius, -0.16 * radius)
        for strength, tint, y in (
            (species.mask, _DARK, -0.1 * radius),
            (species.brow, _PALE, -0.52 * radius),
        ):
            if strength:
                band = self._cone(
                    self._gazing(-0.75 * radius, y), self._gazing(0.8 * radius, y * 0.8),
                    0.1 * radius, 0.17 * radius,
                )  # fmt: skip
                grid = Grid.of(band.window)
                x, y_ = self.pose.at(self.head)
                within = np.hypot(grid.x - np.float32(x), grid.y - np.float32(y_))
                inside = covered(within - np.float32(0.97 * radius * scale))
                self._dye(band, tint, band.cover * inside)
        centre = self.pose.at(eye)
        size = max(0.21 * radius * scale, 1.0)
        ring = np.multiply(species.cheek, 0.6).astype(np.float32)
        self._dye(disc(self.size, centre, 1.35 * size), ring)
        self._dye(disc(self.size, centre, size), _DARK)
        glint = centre[0] - 0.3 * size, centre[1] - 0.35 * size
        self._dye(disc(self.size, glint, 0.34 * size), (0.95, 0.95, 0.95))

    def _beak(self) -> None:
        species, radius = self.species, self.species.head
        base, tip = self._gazing(0.7 * radius, 0.08), self._gazing(radius + species.beak, 0.13)
        shape = self._cone(base, tip, species.beak_depth, 0.008)
        gape = step(np.abs(shape.across), 0.22, 0.0) * np.float32(0.5)
        self._lay(shape, mixed(species.horn, _DARK, gape))

    def _tail(self) -> None:
        species = self.species
        angle = self.pose.tail_angle
        end = (
            _RUMP[0] - species.tail * math.cos(angle),
            _RUMP[1] + species.tail * math.sin(angle),
        )
        shape = self._cone((_RUMP[0] + 0.1, _RUMP[1]), end, 0.1, species.tail_width)
        bars = step(np.sin(shape.across * np.float32(7)), 0.3, 0.9) * np.float32(0.4)
        self._lay(shape, mixed(species.tail_colour, np.multiply(species.wing_edge, 0.6), bars))

    def _folded_wing(self) -> None:
        species = self.species
        tip = (-0.52 - 0.3 * species.tail, 0.04)
        shape = self._cone(_SHOULDER, tip, 0.165 * species.plump, 0.03)
        along, down = shape.along, self._down(shape)
        feathers = np.sin(down * np.float32(9) + along * np.float32(4)) * step(along, 0.2, 0.5)
        colour = mixed(species.wing, species.wing_edge, step(feathers, 0.2, 0.8) * np.float32(0.6))
        colour = mixed(colour, np.multiply(species.wing_edge, 0.45), step(along, 0.55, 0.95))
        for bar in range(species.wing_bars):
            place = 0.2 + 0.17 * bar
            colour = mixed(colour, _PALE, step(np.abs(along - np.float32(place)), 0.055, 0.02))
        edge = step(down, 0.7, 0.98) * np.float32(0.45)
        self._lay(shape, mixed(colour, _DARK, edge), round_=0.2)

    def _spread_wing(self, *, far: bool) -> None:
        """Inner and outer half of a wing; the far one is behind the body and in its shade."""
        species, lift = self.species, self.pose.wing_lift + (0.25 if far else 0.0)
        root = (0.2, -0.08) if far else (0.06, -0.06)
        elbow = root[0] - 0.1, root[1] - 0.42 * math.sin(lift + 0.3)
        tip = elbow[0] - 0.48, elbow[1] - 0.55 * math.sin(lift)
        shade = 0.75 if far else 1.0
        for start, end, radii, is_outer in (
            (elbow, tip, (0.14, 0.03), True),
            (root, elbow, (0.19, 0.15), False),
        ):
            shape = self._cone(start, end, *radii)
            vanes = step(np.sin(shape.across * np.float32(8)), 0.0, 0.9) * np.float32(0.5)
            base = mixed(species.wing, species.wing_edge, vanes)
            if is_outer:
                base = mixed(base, np.multiply(species.wing_edge, 0.5), step(shape.along, 0.4, 1))
            self._lay(shape, base * np.float32(shade))

    def _legs(self) -> None:
        species = self.species
        if species.habit in ("water", "air"):
            return
        width = 0.018 * self.pose.length
        for place, foot in zip((-0.09, 0.02), feet(species, self.pose), strict=True):
            hip = self.pose.at((place, 0.14))
            self._lay(cone(self.size, hip, foot, 1.7 * width, max(width, 0.6)), species.leg)
            reach = 0.09 * self.pose.length * (-1 if self.pose.faces_left else 1)
            for toe in (reach, -0.5 * reach):
                end = foot[0] + toe, foot[1] + 0.015 * self.pose.length
                self._lay(cone(self.size, foot, end, max(width, 0.6), max(width, 0.5)), species.leg)
