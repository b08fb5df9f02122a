"""Augmentation of training pictures without telling the network: flip, shift, crop, brightness.

The usual kind, which a U-Net for restoration is trained with (the seed's other arm). It is done to
the clean picture before the noise is drawn, and keyed by the sample's number.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.streams import stream

SHIFT = 0.1  # of each side, either way; what is uncovered is filled by reflection
BRIGHTNESS = 0.2  # on the range [-1, 1], either way
CONTRAST = 0.2  # about the range's middle, as a factor


def augmented_pictures(
    clean: NDArray[np.float32], p: float, samples: Sequence[int], seed: int
) -> NDArray[np.float32]:
    """float32 [N, C, *spatial] in [-1, 1] -> the same, each change with probability p."""
    if p == 0:
        return clean
    pairs = zip(clean, samples, strict=True)
    return np.stack([_one(picture, p, stream(seed, "augment", k)) for picture, k in pairs])


def _one(picture: NDArray[np.float32], p: float, draw: np.random.Generator) -> NDArray[np.float32]:
    done = draw.random(3) < p
    sides = picture.shape[1:]
    limits = [int(SHIFT * side) for side in sides]
    shifts = [int(draw.integers(-limit, limit + 1)) for limit in limits]
    brightness, contrast = draw.uniform(-BRIGHTNESS, BRIGHTNESS), draw.uniform(-CONTRAST, CONTRAST)
    if done[0]:
        picture = picture[..., ::-1]
    if done[1]:
        margins = [(0, 0), *((limit, limit) for limit in limits)]
        places = [
            slice(limit + shift, limit + shift + side)
            for limit, shift, side in zip(limits, shifts, sides, strict=True)
        ]
        picture = np.pad(picture, margins, mode="reflect")[(slice(None), *places)]
    if done[2]:
        changed = picture * np.float32(1 + contrast) + np.float32(brightness)
        picture = np.clip(changed, -1, 1)
    return np.ascontiguousarray(picture, dtype=np.float32)
