"""From an image or volume of any size and depth to the cache's size, and whether colour matters.

The resizer is part of the data's identity: RESIZER names it and goes into the cache's digest.
"crop" cuts out the largest centre of the wanted aspect: padding would add borders that a model
learns at once and that flatter every distance. "pad" keeps all of the image, where its rim matters.
"centre" cuts what is too long and pads what is too short, about the centre and without resampling:
for volumes, whose voxels mean something in mm.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.data.readers.reader import Pixels
from bench.data.reading import Fit

RESIZER = "pillow bicubic (antialiased); uint8 rounds after each axis, others in float32"

# A pixel has colour when its largest and smallest channel differ by more than this (of 255): above
# the tint that scanners and 4:2:0 chroma give grey ultrasound (at most 24 in the clips at hand).
COLOUR_SPREAD = 32
# A frame is coloured when more than this share of its pixels have colour: a small logo is not it.
COLOUR_SHARE = 0.01

Interval = tuple[float, float]


def fitted(pixels: Pixels, size: tuple[int, ...], fit: Fit, fill: float) -> Pixels:
    """[*spatial] or [*spatial, C] -> [C, *size], of the same dtype; `fill` goes where none was.

    At its rim the filter reads pixels beyond a cut, where the image has some. Values beyond those
    of the image itself, which bicubic filtering makes at edges, are clipped away (uint8: 0..255).
    """
    inner, intervals = _plan(pixels.shape[: len(size)], size, fit)
    if fit == "centre":
        resized = pixels[_whole(intervals)]
    elif pixels.shape[: len(size)] == size:
        resized = pixels
    elif pixels.dtype == np.uint8 and len(size) == 2:
        (top, bottom), (left, right) = intervals
        image = Image.fromarray(pixels).resize(
            (inner[1], inner[0]), Image.Resampling.BICUBIC, box=(left, top, right, bottom)
        )
        resized = np.asarray(image)
    else:
        resized = _resample(pixels, inner, intervals)
    if resized.ndim == len(size):
        resized = resized[..., None]
    channels_first = np.ascontiguousarray(np.moveaxis(resized, -1, 0))
    return _padded(channels_first, size, fill)


def fitted_masks(masks: NDArray[np.uint8], size: tuple[int, ...], fit: Fit) -> NDArray[np.uint8]:
    """uint8 [M, *spatial] -> [M, *size], the class of the nearest pixel; 0 where none was."""
    inner, intervals = _plan(masks.shape[1:], size, fit)
    if fit == "centre":
        return _padded(np.ascontiguousarray(masks[(slice(None), *_whole(intervals))]), size, 0)
    for axis, (length, (start, stop)) in enumerate(zip(inner, intervals, strict=True), start=1):
        centres = start + (np.arange(length) + 0.5) * (stop - start) / length
        nearest = np.clip(np.floor(centres).astype(int), 0, masks.shape[axis] - 1)
        masks = np.take(masks, nearest, axis=axis)
    return _padded(masks, size, 0)


def fitted_spacing(
    spacing: tuple[float, ...], source: tuple[int, ...], size: tuple[int, ...], fit: Fit
) -> tuple[float, ...]:
    """The spacing of an image's pixels after `fitted`, in the unit of `spacing`."""
    inner, intervals = _plan(source, size, fit)
    return tuple(
        space * (stop - start) / length
        for space, length, (start, stop) in zip(spacing, inner, intervals, strict=True)
    )


def _whole(intervals: list[Interval]) -> tuple[slice, ...]:
    return tuple(slice(int(start), int(stop)) for start, stop in intervals)


def _plan(
    source: tuple[int, ...], size: tuple[int, ...], fit: Fit
) -> tuple[tuple[int, ...], list[Interval]]:
    """The size that an image is resampled to, and the interval of each source axis that is used."""
    if fit == "centre":
        inner = tuple(min(length, side) for length, side in zip(source, size, strict=True))
        cut = [(length - keep) // 2 for length, keep in zip(source, inner, strict=True)]
        return inner, [(float(at), float(at + keep)) for at, keep in zip(cut, inner, strict=True)]
    if fit == "crop":
        tight = min(range(len(size)), key=lambda axis: source[axis] / size[axis])
        used = [side * source[tight] / size[tight] for side in size]
        starts = [(length - use) / 2 for length, use in zip(source, used, strict=True)]
        return size, [(start, start + use) for start, use in zip(starts, used, strict=True)]
    tight = max(range(len(size)), key=lambda axis: source[axis] / size[axis])
    inner = tuple(max(1, round(length * size[tight] / source[tight])) for length in source)
    return inner, [(0.0, float(length)) for length in source]


def _resample(pixels: Pixels, inner: tuple[int, ...], intervals: list[Interval]) -> Pixels:
    """Bicubic with antialiasing along one axis after the other, in float32."""
    resampled: NDArray[Any] = pixels.astype(np.float32)
    for axis, (length, (start, stop)) in enumerate(zip(inner, intervals, strict=True)):
        if (start, stop) == (0.0, float(length)) and resampled.shape[axis] == length:
            continue
        rows = np.moveaxis(resampled, axis, 0)
        table = np.ascontiguousarray(rows.reshape(rows.shape[0], -1))
        image = Image.fromarray(table).resize(
            (table.shape[1], length),
            Image.Resampling.BICUBIC,
            box=(0, start, table.shape[1], stop),
        )
        resampled = np.moveaxis(np.asarray(image).reshape(length, *rows.shape[1:]), 0, axis)
    if pixels.dtype.kind == "u":
        resampled = np.rint(resampled)
    inside: Pixels = np.clip(resampled, pixels.min(), pixels.max())
    return inside.astype(pixels.dtype)


def _padded(images: NDArray[Any], size: tuple[int, ...], fill: float) -> NDArray[Any]:
    """[C, *inner] in the middle of [C, *size]."""
    missing = [side - inner for side, inner in zip(size, images.shape[1:], strict=True)]
    if not any(missing):
        return images
    widths = [(0, 0), *((space // 2, space - space // 2) for space in missing)]
    return np.pad(images, widths, constant_values=fill)


def is_coloured(pixels: Pixels) -> bool:
    """Whether RGB pixels [H, W, 3] hold colour, by COLOUR_SPREAD and COLOUR_SHARE.

    The spread of deep pixels is judged against the image's own range.
    """
    is_byte = pixels.dtype == np.uint8
    full = 255.0 if is_byte else float(pixels.max()) - float(pixels.min())
    spread = pixels.max(axis=-1).astype(np.float64) - pixels.min(axis=-1)
    return float(np.mean(spread > COLOUR_SPREAD / 255 * full)) > COLOUR_SHARE
