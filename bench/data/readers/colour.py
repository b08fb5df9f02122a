"""Grey and colour at any depth: from what a file holds to the mode that the data set is kept in."""

from __future__ import annotations

import numpy as np
from PIL import Image

from bench.data.readers.reader import Mode, Pixels

_LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R 601, as Pillow's conversion from RGB to L


def to_mode(pixels: Pixels, mode: Mode) -> Pixels:
    """[H, W] or [H, W, 1|3|4] of any depth -> [H, W] in mode "L", [H, W, 3] in mode "RGB".

    A fourth channel (alpha) is dropped. uint8 is converted by Pillow.
    """
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    if pixels.dtype == np.uint8:
        return np.asarray(Image.fromarray(pixels).convert(mode))
    if pixels.ndim == 2:
        return pixels if mode == "L" else np.repeat(pixels[..., None], 3, axis=-1)
    colour: Pixels = pixels[..., :3]
    if mode == "RGB":
        return colour
    grey = colour.astype(np.float64) @ _LUMA
    rounded: Pixels = np.rint(grey) if pixels.dtype.kind == "u" else grey
    return rounded.astype(pixels.dtype)
