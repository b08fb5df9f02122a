"""The range of pixel values that training sees as [-1, 1], and the ways there and to pictures.

uint8 spans 0..255. uint16 spans the bits that are used: 12-bit data in 16-bit files span 0..4095.
Floating-point pixels span what their files state, or what the data set holds. Imports numpy only.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

ValueRange = tuple[float, float]

DTYPES = ("uint8", "uint16", "float32")  # from the narrowest to the widest
BYTE_RANGE: ValueRange = (0.0, 255.0)
FULL_16_BITS: ValueRange = (0.0, 65535.0)
_READ_VALUES = 1 << 24  # of volumes in memory at a time


def as_float(images: NDArray[Any], value_range: ValueRange) -> NDArray[np.float32]:
    """Images of a cache -> float32 in [-1, 1]: (x - low) / ((high - low) / 2) - 1.

    For uint8 these are the bits of x / 127.5 - 1 in float32. The result is a new array.
    """
    low, half = _affine(value_range)
    x = np.asarray(images).astype(np.float32)
    if low:
        x -= np.float32(low)
    x /= np.float32(half)
    x -= np.float32(1)
    return x


def to_uint8(images: NDArray[Any], value_range: ValueRange) -> NDArray[np.uint8]:
    """Images of a cache -> uint8 for pictures: the range becomes 0..255, rounded; uint8 stays."""
    images = np.asarray(images)
    if images.dtype == np.uint8 and value_range == BYTE_RANGE:
        return images
    low, high = value_range
    share = (images.astype(np.float64) - low) / (high - low)
    return np.rint(np.clip(share, 0, 1) * 255).astype(np.uint8)


def _affine(value_range: ValueRange) -> tuple[float, float]:
    low, high = value_range
    return low, (high - low) / 2


def decide(
    dtype: str,
    seen: ValueRange,
    stated: Collection[ValueRange],
    asked: ValueRange | None,
) -> tuple[ValueRange, str | None]:
    """The range of images of one dtype, and what is to be said of it where it was guessed.

    seen: the smallest and the largest pixel of the files. stated: by the files themselves. asked:
    by the user, which decides.
    """
    if asked is not None:
        return asked, None
    widest = (min(low for low, _ in stated), max(high for _, high in stated)) if stated else None
    if dtype == "uint16" and (widest is None or seen[1] > widest[1]):
        return _of_16_bits(seen, widest)
    if widest is not None:
        more = f"; files state {len(set(stated))} ranges, the widest is used"
        return widest, f"range {_text(widest)}{more}" if len(set(stated)) > 1 else None
    if dtype == "uint8":
        return BYTE_RANGE, None
    return seen, (
        f"no range is stated for floating-point pixels: the data's own, {_text(seen)}, is mapped "
        "to [-1, 1]; state another with --value-range LOW:HIGH"
    )


def _of_16_bits(seen: ValueRange, stated: ValueRange | None) -> tuple[ValueRange, str | None]:
    if stated is not None:
        return FULL_16_BITS, (
            f"files state the range {_text(stated)} and hold values up to {seen[1]:g}: "
            f"{_text(FULL_16_BITS)} is used"
        )
    bits = max(1, int(seen[1]).bit_length())
    guessed = (0.0, float(2**bits - 1))
    return guessed, (
        f"the largest value in 16-bit pixels is {seen[1]:g}: taken for {bits}-bit data, "
        f"{_text(guessed)}; state another range with --value-range LOW:HIGH"
    )


def _text(value_range: ValueRange) -> str:
    return f"{value_range[0]:g}..{value_range[1]:g}"


@dataclass(frozen=True, kw_only=True)
class PixelStatistics:
    """Exact mean and standard deviation of images in the range [-1, 1]."""

    mean: tuple[float, ...]  # one a channel
    std: tuple[float, ...]
    sigma_data: float  # over all channels together


def pixel_statistics(
    images: NDArray[Any],
    indices: NDArray[np.int64],
    value_range: ValueRange = BYTE_RANGE,
    batch: int = 1024,
) -> PixelStatistics:
    """Statistics of images[indices] ([N, C, *spatial]), streamed, in float64.

    Integers are counted in exact histograms; floating-point pixels are read twice, for their mean
    and then for the squares around it.
    """
    if images.dtype.kind == "f":
        return _two_passes(images, indices, value_range, batch)
    channels = images.shape[1]
    levels = 256 if images.dtype == np.uint8 else 65536
    counts = np.zeros((channels, levels), np.int64)
    for block in _blocks(images, indices, batch):
        for channel in range(channels):
            counts[channel] += np.bincount(block[:, channel].ravel(), minlength=levels)
    low, half = _affine(value_range)
    values = (np.arange(levels, dtype=np.float64) - low) / half - 1.0

    def moments(histogram: NDArray[np.int64]) -> tuple[float, float]:
        share = histogram / histogram.sum()
        mean = float(share @ values)
        return mean, float(np.sqrt(share @ (values - mean) ** 2))

    each = [moments(row) for row in counts]
    return PixelStatistics(
        mean=tuple(mean for mean, _ in each),
        std=tuple(std for _, std in each),
        sigma_data=moments(counts.sum(axis=0))[1],
    )


def _two_passes(
    images: NDArray[Any], indices: NDArray[np.int64], value_range: ValueRange, batch: int
) -> PixelStatistics:
    low, half = _affine(value_range)
    axes = (0, *range(2, images.ndim))
    pixels = len(indices) * int(np.prod(images.shape[2:]))
    total = np.zeros(images.shape[1])
    for block in _blocks(images, indices, batch):
        total += ((block.astype(np.float64) - low) / half - 1.0).sum(axis=axes)
    mean = total / pixels
    column = mean.reshape(-1, *[1] * (images.ndim - 2))
    squares = np.zeros(images.shape[1])
    for block in _blocks(images, indices, batch):
        squares += np.square((block.astype(np.float64) - low) / half - 1.0 - column).sum(axis=axes)
    variance = squares / pixels
    together = float(np.mean(variance + np.square(mean - mean.mean())))
    return PixelStatistics(
        mean=tuple(mean.tolist()),
        std=tuple(np.sqrt(variance).tolist()),
        sigma_data=float(np.sqrt(together)),
    )


def _blocks(images: NDArray[Any], indices: NDArray[np.int64], batch: int) -> Any:
    if images.ndim == 5:  # one volume can be as large as a thousand pictures
        batch = max(1, min(batch, _READ_VALUES // int(np.prod(images.shape[1:]))))
    for start in range(0, len(indices), batch):
        yield np.asarray(images[indices[start : start + batch]])
