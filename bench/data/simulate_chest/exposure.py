"""From thickness to a radiograph: attenuation, scatter, the detector's noise and the display.

The primary beam is exp(-attenuation); scatter adds a blurred share of it, most where the body is
thick; the display is the negative logarithm, stretched, and in part equalised, as the official
small set is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from bench.data.simulate_chest.bones import bones
from bench.data.simulate_chest.devices import devices
from bench.data.simulate_chest.findings import Findings
from bench.data.simulate_chest.lungs import aerated, cloud, vessels
from bench.data.simulate_chest.patient import Patient, Placing
from bench.data.simulate_chest.torso import F, Grid, airway, body, heart, lung, make_grid, stomach
from bench.streams import stream

_TISSUE = 0.155  # attenuation a cm, hardened beam
_AIR_SHARE = 0.76  # of a lung's thickness that is air
_SCATTER_CM = 3.0
_GLYPHS = {  # 5 by 7, a row a number
    "L": (16, 16, 16, 16, 16, 16, 31),
    "R": (30, 17, 17, 30, 20, 18, 17),
}
# The side's letter, alone or in a dark disc: on the patient's left (image right), or right.
_MARKS = (("L", 0), ("L", 1), ("L", 0), ("R", 0), ("R", 1), ("R", 0))


def radiograph(
    patient: Patient, placing: Placing, found: Findings, side: int, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """uint8 [side, side], white where the beam is stopped."""
    grid = make_grid(patient, placing, side)
    own = stream(patient.variant, "chest anatomy")  # the same in every study of the patient
    wobble = 0.6 * cloud(grid, 6.0, own)
    tissue = body(grid, patient, placing)
    core = heart(grid, patient, placing, found, wobble)
    tree = vessels(grid, patient, placing, found, own)
    mineral = bones(grid, patient, placing, found, own)
    air, lungs_at = airway(grid, placing), np.zeros(grid.x.shape, bool)
    for which in (-1, 1):
        one = lung(grid, patient, placing, found, which, wobble)
        filled = aerated(grid, one, patient, found, tree, rng)
        # Where the heart lies there is that much less lung before and behind it.
        kept = np.clip(filled - core * (filled > 0), 0, None) * _AIR_SHARE
        air, lungs_at = air + kept, lungs_at | (kept > 3)
    if own.random() < 0.6:
        air = air + stomach(grid, patient, placing, found, float(own.uniform(0.25, 1.0)))
    soft = np.clip(tissue - air, 0, None) * (1 + 0.03 * cloud(grid, 5.0, own))
    metal = devices(grid, patient, found, rng)
    hard = 0.55 - 0.25 * placing.kilovolt
    attenuation = _TISSUE * soft + hard * mineral + 1.2 * metal
    return _display(grid, attenuation, lungs_at, placing, rng)


def _display(
    grid: Grid,
    attenuation: F,
    lungs_at: NDArray[np.bool_],
    placing: Placing,
    rng: np.random.Generator,
) -> NDArray[np.uint8]:
    primary = np.exp(-attenuation)
    # Scatter is smooth: a quarter of the pixels in each direction are enough to blur it.
    spread = gaussian_filter(np.minimum(primary[::4, ::4], 0.3), _SCATTER_CM / (4 * grid.pixel))
    scatter = np.asarray(Image.fromarray(spread).resize(primary.shape, Image.Resampling.BICUBIC))
    seen = primary + placing.scatter * scatter
    seen = gaussian_filter(seen, placing.blur / grid.pixel)
    photons = 1.5e5 * placing.dose
    seen = seen + rng.standard_normal(seen.shape, np.float32) * np.sqrt(seen / photons)
    dark = -np.log(np.clip(seen, 1e-4, None))
    sparse = dark[::3, ::3]
    high = float(np.quantile(sparse, 0.985))
    # Lungs, where there is air in them, come out about a third of the way from black to white.
    inside = sparse[lungs_at[::3, ::3]]
    lung = float(np.quantile(inside, 0.3)) if inside.size > 9 else float(np.quantile(sparse, 0.3))
    low = lung - placing.window * max(high - lung, 0.3)
    high += placing.headroom * (high - lung)
    value = (dark - low) / (high - low)
    ranks = np.quantile(value[::3, ::3], np.linspace(0, 1, 33))
    equal = np.interp(value, ranks + np.arange(33) * 1e-6, np.linspace(0, 1, 33))
    value = (1 - 0.7 * placing.equalised) * value + 0.7 * placing.equalised * equal
    # Dense parts are drawn together, as film and display do.
    value = 1 - (1 - np.clip(value, 0, 1)) ** (0.9 + 0.5 * placing.shoulder)
    value = value**placing.curve + placing.brightness
    value = _marked(grid, value.astype(np.float32), placing)
    return np.rint(255 * np.clip(value, 0, 1)).astype(np.uint8)


def _marked(grid: Grid, value: F, placing: Placing) -> F:
    """The side's letter, and the collimator's black rim."""
    side = grid.side
    at = (np.arange(side, dtype=np.float32) + 0.5) / side
    across, down = np.meshgrid(at, at)
    left, top, which = placing.marker
    letter, in_disc = _MARKS[which]
    size = 0.0055  # of the side: a dot of the letter
    column = np.floor((across - left) / size + 2.5).astype(int)
    row = np.floor((down - top) / size + 3.5).astype(int)
    inside = (column >= 0) & (column < 5) & (row >= 0) & (row < 7)
    rows = np.array(_GLYPHS[letter])
    ink = inside & ((rows[np.clip(row, 0, 6)] >> np.clip(4 - column, 0, 4)) & 1).astype(bool)
    if in_disc:
        disc = np.hypot(across - left, down - top)
        value = np.where(disc < 6.2 * size, np.where(disc > 5.2 * size, 0.95, 0.02), value)
    value = np.where(ink, np.float32(0.97), value)
    tilt = placing.frame_tilt
    a, b = across + tilt * (down - 0.5), down - tilt * (across - 0.5)
    left_rim, top_rim, right_rim, bottom_rim = placing.frame
    outside = (a < left_rim) | (a > 1 - right_rim) | (b < top_rim) | (b > 1 - bottom_rim)
    rim = outside if any(placing.frame) else np.zeros_like(outside)
    return np.where(rim, np.float32(0.01), value).astype(np.float32)
