"""The pictures that the extractor `drawn` learnt from: classes of pictures drawn by this project.

A class is one thing drawn many times: a kind of textured shapes on a textured ground in colours of
its own, a bird species, one patient's chest or heart. Nothing in them is a real picture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import zoom

from bench.data.simulate_birds.photographs import photograph
from bench.data.simulate_birds.species import draw_species
from bench.data.simulate_chest.exposure import radiograph
from bench.data.simulate_chest.findings import draw_findings
from bench.data.simulate_chest.patient import draw_patient, draw_placing
from bench.data.simulate_echo import heart, scanner
from bench.streams import stream

SIDE = 40  # px: 32 and room to cut
Pictures = NDArray[np.uint8]
F = NDArray[np.float32]


def draw_all(seed: int, share: float = 1.0) -> tuple[Pictures, NDArray[np.int64]]:
    """(uint8 [n, 3, 40, 40], class of each [n]); grey ones have three equal channels.

    `share` of the classes of every subject are drawn: the whole takes about a minute and a half.
    """
    pictures: list[Pictures] = []
    labels: list[int] = []
    first = 0
    for draw, classes in ((shapes, 500), (birds, 160), (chests, 160), (hearts, 240)):
        count = max(1, round(classes * share))
        for place in range(count):
            for picture in draw(seed, place):
                pictures.append(_three(picture))
                labels.append(first + place)
        first += count
    return np.stack(pictures), np.array(labels)


def shapes(seed: int, place: int) -> Iterator[Pictures]:
    """24 pictures of one kind of textured shapes; every third kind is grey."""
    rng = stream(seed, "drawn shapes", place)
    grey = place % 3 == 0
    ground, figure = _kind_of_surface(rng, grey), _kind_of_surface(rng, grey)
    corners, aspect = int(rng.integers(2, 7)), float(rng.uniform(0.35, 1))
    count, size = int(rng.integers(1, 5)), float(rng.uniform(0.15, 0.42))
    grain = float(rng.choice([0, 0, 0, 0.01, 0.03]))
    hollow, soft = float(rng.choice([0, 0, 0.5, 0.7])), float(rng.choice([0.02, 0.02, 0.08]))
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32) / (SIDE - 1)
    for _ in range(24):
        canvas = ground(rng)
        for _ in range(count):
            turn, radius = rng.uniform(0, 2 * np.pi), size * rng.uniform(0.75, 1.3)
            dx, dy = x - rng.uniform(0.2, 0.8), y - rng.uniform(0.2, 0.8)
            across = (dx * np.cos(turn) + dy * np.sin(turn)) / aspect
            along = dy * np.cos(turn) - dx * np.sin(turn)
            angle, distance = np.arctan2(along, across), np.hypot(along, across)
            wobble = 1 + 0.25 * np.cos(corners * angle)
            edge = radius * (wobble if corners > 2 else 1)
            cover = 1 / (1 + np.exp(np.clip((distance - edge) / soft * 2, -20, 20)))
            if hollow:
                cover *= 1 / (1 + np.exp(np.clip((hollow * edge - distance) / soft * 2, -20, 20)))
            canvas += (figure(rng) - canvas) * cover[None].astype(np.float32)
        slope = rng.uniform(-0.25, 0.25, 2)
        light = rng.uniform(0.8, 1.15) + slope[0] * (x - 0.5) + slope[1] * (y - 0.5)
        grains = grain * rng.standard_normal(canvas.shape[1:], dtype=np.float32)
        yield _grey_levels(canvas * light.astype(np.float32) + grains)


def _kind_of_surface(rng: np.random.Generator, grey: bool) -> Callable[[np.random.Generator], F]:
    """Draws float32 [3, 40, 40] in 0..1: noise, stripes or spots between two or three colours."""
    colours = rng.uniform(0, 1, (3, 1 if grey else 3)).repeat(3 if grey else 1, axis=1)
    colours = colours.mean(0) + (colours - colours.mean(0)) * rng.choice([0.3, 0.7, 1.0])
    slope, stretch = rng.uniform(0.6, 2.4), rng.uniform(0.3, 1)
    pattern, waves = rng.choice(["noise", "noise", "stripes", "spots"]), rng.uniform(2, 9)
    sharp, turn_of_all = rng.uniform(0.5, 4), rng.uniform(0, np.pi)
    f = np.fft.fftfreq(SIDE)

    def surface(draw: np.random.Generator) -> F:
        turn = turn_of_all + draw.normal(0, 0.2)
        u = f[:, None] * np.cos(turn) + f[None] * np.sin(turn)
        v = (f[None] * np.cos(turn) - f[:, None] * np.sin(turn)) / stretch
        radius = np.hypot(u, v)
        radius[0, 0] = 1.0
        white = np.fft.fft2(draw.standard_normal((2, SIDE, SIDE)))
        fields = np.fft.ifft2(white / radius**slope).real
        fields = (fields - fields.mean((1, 2), keepdims=True)) / fields.std((1, 2), keepdims=True)
        if pattern != "noise":
            y, x = np.mgrid[:SIDE, :SIDE] / SIDE
            phase = 2 * np.pi * waves
            along = phase * (x * np.cos(turn) + y * np.sin(turn)) + draw.uniform(0, 6.3)
            wave = np.sin(along + 0.5 * fields[1])
            if pattern == "spots":
                side = phase * (y * np.cos(turn) - x * np.sin(turn)) + draw.uniform(0, 6.3)
                wave = wave * np.sin(side + 0.5 * fields[1])
            fields[0] = 1.2 * wave + 0.3 * fields[0]
        share = 1 / (1 + np.exp(-sharp * fields[0]))
        other = 1 / (1 + np.exp(-1.5 * (fields[1] - 1)))
        mixed = colours[0][:, None, None] * (1 - share) + colours[1][:, None, None] * share
        mixed += (colours[2][:, None, None] - mixed) * other
        return np.asarray(mixed + draw.normal(0, 0.03, (3, 1, 1)) * (not grey), np.float32)

    return surface


def birds(seed: int, place: int) -> Iterator[Pictures]:
    """20 photographs of one species, each a cut of 40 px from a larger one."""
    species = draw_species(stream(seed, "drawn species", place), place)
    for photo in range(20):
        rng = stream(seed, f"drawn photo of species {place}", photo)
        picture, _ = photograph(species, 56, rng)
        side = int(rng.integers(44, 57))
        top, left = (int(rng.integers(0, extent - side + 1)) for extent in picture.shape[:2])
        yield _sized(picture[top : top + side, left : left + side].transpose(2, 0, 1))


def chests(seed: int, place: int) -> Iterator[Pictures]:
    """8 radiographs of one patient, placed and exposed anew, as well as can be."""
    person = draw_patient(stream(seed, "drawn patient", place))
    found = draw_findings(stream(seed, "drawn findings", place))
    for view in range(8):
        rng = stream(seed, f"drawn view of patient {place}", view)
        placing = draw_placing(person, rng, is_ill=bool(place % 2))
        yield radiograph(person, placing, found, SIDE, rng).reshape(1, SIDE, SIDE)


def hearts(seed: int, place: int) -> Iterator[Pictures]:
    """6 frames of one ultrasound clip, whole and in random cuts in turn."""
    rng = stream(seed, "drawn heart", place)
    patient, machine = heart.draw_heart(rng), scanner.draw_scanner(rng)
    frames = scanner.render(patient, machine, heart.motion(patient, 6, 4), rng)
    cuts = place % 2  # half of the clips are seen without their sector
    for frame in frames:
        side = int(rng.integers(48, 72)) if cuts else len(frame)
        at = rng.integers(len(frame) // 5, len(frame) - side - 8, 2) if cuts else (0, 0)
        top, left = int(at[0]), int(at[1])
        yield _sized(frame[None, top : top + side, left : left + side])


def _sized(picture: Pictures) -> Pictures:
    """To 40 px, after a mean over whole pixels where it is much larger."""
    side = picture.shape[-1]
    step = max(1, side // SIDE)
    kept = side // step * step
    cut = picture[:, :kept, :kept].astype(np.float32)
    cut = cut.reshape(len(cut), kept // step, step, kept // step, step).mean((2, 4))
    scale = SIDE / cut.shape[-1]
    return np.stack([_levels(zoom(plane, scale, order=1)) for plane in cut])


def _levels(values: F) -> Pictures:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _grey_levels(values: F) -> Pictures:
    return _levels(values * np.float32(255))


def _three(picture: Pictures) -> Pictures:
    return picture if len(picture) == 3 else picture.repeat(3, axis=0)
