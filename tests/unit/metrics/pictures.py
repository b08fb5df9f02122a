"""Echo-like pictures for metric tests, drawn here so that no test needs data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Pictures = NDArray[np.uint8]
MODES = 8


def echo_like(
    n: int, *, seed: int, size: int = 32, modes: Sequence[int] = range(MODES)
) -> Pictures:
    """Speckled sectors with a dark chamber, uint8 [n, 1, size, size].

    Chamber and gain are a mode's own; fewer `modes` is a set that lost some.
    """
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] / (size - 1)
    out = np.empty((n, 1, size, size), np.uint8)
    for i in range(n):
        mode = rng.choice(modes)
        mode_rng = np.random.default_rng(1000 + int(mode))
        cx, cy = mode_rng.uniform(0.35, 0.65), mode_rng.uniform(0.4, 0.7)
        rx, ry = mode_rng.uniform(0.06, 0.2, 2) * rng.uniform(0.85, 1.15)
        gain = mode_rng.uniform(0.6, 1.4) * rng.uniform(0.9, 1.1)
        chamber = ((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 < 1
        tissue = 90 * np.where(chamber, 0.15, 1.0) * np.exp(-0.8 * y)
        a, b = gaussian_filter(rng.standard_normal((2, size, size)), (0, 0.8, 0.8)) * 2.8
        inside = (np.abs(x - 0.5) <= 0.7 * y + 0.03) & (np.hypot(x - 0.5, y) <= 1)
        out[i, 0] = _grey(gain * tissue * np.hypot(a, b) * inside)
    return out


def blurred(pictures: Pictures, sigma_px: float) -> Pictures:
    return _grey(gaussian_filter(pictures.astype(float), (0, 0, sigma_px, sigma_px)))


def noisy(pictures: Pictures, sd: float) -> Pictures:
    draw = np.random.default_rng(9).standard_normal(pictures.shape)
    return _grey(pictures + sd * draw)


def contrasted(pictures: Pictures, factor: float) -> Pictures:
    mean = pictures.mean((1, 2, 3), keepdims=True)
    return _grey(mean + factor * (pictures - mean))


def _grey(values: NDArray[np.float64]) -> Pictures:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
