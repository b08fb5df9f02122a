"""From a frame of any size to the cache's square uint8 image, and whether colour matters.

The resizer is part of the data's identity: RESIZER names it and goes into the cache's digest.
A centre square is cut out rather than the frame padded: padding would add black borders that a
model learns at once and that flatter every distance; clips here are square or nearly so.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from bench.data.readers.reader import Frame

RESIZER = "centre-square, pillow bicubic (antialiased), uint8"

# A pixel has colour when its largest and smallest channel differ by more than this (of 255): above
# the tint that scanners and 4:2:0 chroma give grey ultrasound (at most 24 in the clips at hand).
COLOUR_SPREAD = 32
# A frame is coloured when more than this share of its pixels have colour: a small logo is not it.
COLOUR_SHARE = 0.01


def to_square(frame: Frame, resolution: int) -> Frame:
    """uint8 [H, W] or [H, W, 3] -> [C, resolution, resolution], C = 1 or 3.

    At its rim the filter reads pixels beyond the cut, where the frame has some.
    """
    height, width = frame.shape[:2]
    side = min(height, width)
    left, top = (width - side) / 2, (height - side) / 2
    image = Image.fromarray(frame)
    if (height, width) != (resolution, resolution):
        image = image.resize(
            (resolution, resolution),
            Image.Resampling.BICUBIC,
            box=(left, top, left + side, top + side),
        )
    square = np.asarray(image)
    return square[None] if square.ndim == 2 else np.ascontiguousarray(square.transpose(2, 0, 1))


def is_coloured(frame: Frame) -> bool:
    """Whether an RGB frame (uint8 [H, W, 3]) holds colour, by COLOUR_SPREAD and COLOUR_SHARE."""
    spread = frame.max(axis=-1).astype(np.int16) - frame.min(axis=-1)
    return float(np.mean(spread > COLOUR_SPREAD)) > COLOUR_SHARE
