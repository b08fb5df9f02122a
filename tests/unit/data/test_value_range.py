"""Ranges: 8-bit training input to the bit, exact statistics at every depth, how one is found."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bench.data.value_range import (
    BYTE_RANGE,
    ValueRange,
    as_float,
    decide,
    pixel_statistics,
    to_uint8,
)


def test_bytes_become_the_same_floats_to_the_bit() -> None:
    every = np.arange(256, dtype=np.uint8)
    expected = torch.from_numpy(every).float().div_(127.5).sub_(1)
    actual = as_float(every, BYTE_RANGE)
    assert actual.dtype == np.float32
    assert np.array_equal(actual.view(np.uint32), expected.numpy().view(np.uint32))


@pytest.mark.parametrize(
    ("dtype", "value_range"),
    [
        ("uint8", (0.0, 255.0)),
        ("uint16", (0.0, 4095.0)),
        ("uint16", (100.0, 300.0)),
        ("float32", (-1000.0, 3000.0)),
    ],
)
def test_ends_and_middle_of_the_range(dtype: str, value_range: ValueRange) -> None:
    low, high = value_range
    ends = np.array([low, high], dtype)
    assert as_float(ends, value_range).tolist() == [-1.0, 1.0]
    assert to_uint8(ends, value_range).tolist() == [0, 255]
    middle = as_float(np.array([(low + high) / 2]), value_range)
    assert middle == pytest.approx(0, abs=1e-6)  # float32


def test_pictures_of_bytes_are_the_bytes_and_others_are_clipped() -> None:
    every = np.arange(256, dtype=np.uint8)
    assert np.array_equal(to_uint8(every, BYTE_RANGE), every)
    assert np.array_equal(to_uint8(every.astype(np.uint16) * 257, (0.0, 65535.0)), every)
    assert to_uint8(np.array([-5.0, 5.0], np.float32), (0.0, 1.0)).tolist() == [0, 255]


@pytest.mark.parametrize("shape", [(20, 3, 5, 4), (20, 2, 3, 5, 4)])
@pytest.mark.parametrize(
    ("dtype", "value_range"),
    [("uint8", (0.0, 255.0)), ("uint16", (0.0, 4095.0)), ("float32", (-3.0, 11.0))],
)
def test_statistics_are_streamed_and_per_channel(
    shape: tuple[int, ...], dtype: str, value_range: ValueRange
) -> None:
    low, high = value_range
    rng = np.random.default_rng(0)
    images = rng.uniform(low, high, shape).astype(dtype)
    images[:, 1] = images[:, 1] / 2
    stats = pixel_statistics(images, np.arange(1, 20, dtype=np.int64), value_range, batch=7)
    x = 2 * (images[1:].astype(np.float64) - low) / (high - low) - 1
    axes = (0, *range(2, x.ndim))
    # float64 rounding of sums in another order
    assert stats.sigma_data == pytest.approx(x.std(), rel=1e-12)
    assert stats.mean == pytest.approx(x.mean(axis=axes).tolist(), rel=1e-10)
    assert stats.std == pytest.approx(x.std(axis=axes).tolist(), rel=1e-12)


@pytest.mark.parametrize(
    ("dtype", "largest", "stated", "asked", "expected", "note"),
    [
        ("uint8", 90, [], None, (0, 255), None),
        ("uint16", 4011, [], None, (0, 4095), "12-bit data"),
        ("uint16", 4096, [], None, (0, 8191), "13-bit data"),
        ("uint16", 300, [(0.0, 4095.0)], None, (0, 4095), None),
        ("uint16", 300, [(0.0, 4095.0), (0.0, 1023.0)], None, (0, 4095), "2 ranges"),
        ("uint16", 64000, [(0.0, 4095.0)], None, (0, 65535), "hold values up to 64000"),
        ("uint16", 4011, [(0.0, 4095.0)], (10.0, 20.0), (10, 20), None),
        ("float32", 7, [], None, (-2, 7), "no range is stated"),
        ("float32", 7, [(0.0, 1.0)], None, (0, 1), None),
        ("float32", 7, [(0.0, 1.0), (-1.0, 0.5)], None, (-1, 1), "2 ranges"),
    ],
)
def test_how_a_range_is_found(
    dtype: str,
    largest: float,
    stated: list[ValueRange],
    asked: ValueRange | None,
    expected: ValueRange,
    note: str | None,
) -> None:
    seen = (-2.0 if dtype == "float32" else 0.0, float(largest))
    value_range, text = decide(dtype, seen, stated, asked)
    assert value_range == expected
    assert (text is None) if note is None else (note in str(text))
