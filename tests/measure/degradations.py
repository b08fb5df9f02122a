"""Damage to pictures in known kinds and sizes, for tests of what a distance sees.

`DEGRADATIONS` gives, for each kind, its levels from slight to strong; from level `VISIBLE` on an
eye tells the damaged pictures (or the damaged set) from the others. Levels of one kind share their
random numbers. Pictures are uint8 [n, C, H, W]; so is what comes back, with the same n.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.cluster.vq import kmeans2
from scipy.ndimage import gaussian_filter, map_coordinates

Pictures = NDArray[np.uint8]
VISIBLE = 1  # the place of a kind's first level that an eye sees
MODES = 16


def whole(values: NDArray[np.float64]) -> Pictures:
    """Grey levels: rounded, from 0 to 255."""
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _draw() -> np.random.Generator:
    return np.random.default_rng(5)


def blur(pictures: Pictures, sigma_px: float) -> Pictures:
    return whole(gaussian_filter(pictures.astype(float), (0, 0, sigma_px, sigma_px)))


def noise(pictures: Pictures, sd: float) -> Pictures:
    return whole(pictures + sd * _draw().standard_normal(pictures.shape))


def contrast(pictures: Pictures, factor: float) -> Pictures:
    mean = pictures.mean((1, 2, 3), keepdims=True)
    return whole(mean + factor * (pictures - mean))


def brightness(pictures: Pictures, shift: float) -> Pictures:
    return whole(pictures + shift)


def jpeg(pictures: Pictures, quality: float) -> Pictures:
    """Through a JPEG file, grey or colour (4:2:0)."""
    out = np.empty_like(pictures)
    for place, picture in enumerate(pictures):
        file = io.BytesIO()
        grey = len(picture) == 1
        Image.fromarray(picture[0] if grey else picture.transpose(1, 2, 0)).save(
            file, "JPEG", quality=int(quality)
        )
        back = np.asarray(Image.open(file))
        out[place] = back if grey else back.transpose(2, 0, 1)
    return out


def checkerboard(pictures: Pictures, amplitude: float) -> Pictures:
    """Every second pixel lighter, the others darker: the artefact of upsampling networks."""
    y, x = np.indices(pictures.shape[-2:])
    return whole(pictures + amplitude * (1 - 2.0 * ((x + y) % 2)))


def elastic(pictures: Pictures, shift_px: float) -> Pictures:
    """Pixels moved by smooth random fields of this standard deviation."""
    draw = _draw()
    out = np.empty_like(pictures)
    grid = np.indices(pictures.shape[-2:]).astype(float)
    for place, picture in enumerate(pictures):
        moved = gaussian_filter(draw.standard_normal(grid.shape), (0, 3, 3))
        at = grid + shift_px * moved / moved.std()
        for channel, plane in enumerate(picture.astype(float)):
            out[place, channel] = whole(map_coordinates(plane, at, order=1, mode="reflect"))
    return out


def swapped_halves(pictures: Pictures, share: float) -> Pictures:
    """The left and right halves of this share of the pictures change places."""
    half = pictures.shape[-1] // 2
    return _some(pictures, share, np.roll(pictures, half, axis=-1))


def upside_down(pictures: Pictures, share: float) -> Pictures:
    return _some(pictures, share, pictures[:, :, ::-1])


def dropped_modes(pictures: Pictures, share: float) -> Pictures:
    """The set without this share of its 16 clusters of pixels, the darkest first."""
    flat = pictures.reshape(len(pictures), -1).astype(float)
    centres, cluster = kmeans2(flat, MODES, minit="++", rng=np.random.default_rng(5))
    gone = np.argsort(centres.mean(1))[: round(MODES * share)]
    return _filled(pictures[~np.isin(cluster, gone)], len(pictures))


def copies(pictures: Pictures, share: float) -> Pictures:
    """Only 1 - `share` of the pictures, repeated."""
    chosen = _draw().permutation(len(pictures))[: max(2, round(len(pictures) * (1 - share)))]
    return _filled(pictures[chosen], len(pictures))


def shrunk_diversity(pictures: Pictures, share: float) -> Pictures:
    """Every picture drawn towards the mean picture by this share."""
    return whole((1 - share) * pictures + share * pictures.mean(0))


def _some(pictures: Pictures, share: float, damaged: Pictures) -> Pictures:
    chosen = _draw().random(len(pictures)) < share
    return np.where(chosen[:, None, None, None], damaged, pictures)


def _filled(kept: Pictures, n: int) -> Pictures:
    return kept[np.arange(n) % len(kept)]


DEGRADATIONS: dict[str, tuple[Callable[[Pictures, float], Pictures], tuple[float, ...]]] = {
    "blur": (blur, (0.4, 0.7, 1.1, 2)),
    "noise": (noise, (4, 10, 25, 60)),
    "contrast": (contrast, (0.9, 0.7, 0.5, 0.3)),
    "brightness": (brightness, (8, 20, 40, 80)),
    "jpeg": (jpeg, (75, 50, 25, 8)),
    "checkerboard": (checkerboard, (2, 5, 12, 30)),
    "elastic": (elastic, (0.3, 0.7, 1.4, 3)),
    "swapped halves": (swapped_halves, (0.05, 0.2, 0.5, 1)),
    "upside down": (upside_down, (0.05, 0.2, 0.5, 1)),
    "dropped modes": (dropped_modes, (0.125, 0.25, 0.5, 0.75)),
    "copies": (copies, (0.75, 0.9, 0.95, 0.98)),
    "shrunk diversity": (shrunk_diversity, (0.05, 0.2, 0.4, 0.7)),
}
