"""The resizer against a slow area mean and exact cases; the decision between grey and colour."""

from __future__ import annotations

import numpy as np
import pytest

from bench.data.resize import is_coloured, to_square


@pytest.mark.parametrize("shape", [(40, 64), (64, 40), (41, 64), (40, 40)])
def test_the_centre_square_is_cut_out(shape: tuple[int, int]) -> None:
    frame = np.zeros(shape, np.uint8)
    side = min(shape)
    top, left = (shape[0] - side) // 2, (shape[1] - side) // 2
    frame[top : top + side + 1, left : left + side + 1] = 200
    square = to_square(frame, 20)
    assert square.shape == (1, 20, 20)
    assert (square[0, 2:-2, 2:-2] == 200).all()  # the rim also sees what is beyond the cut


def test_no_resize_keeps_every_pixel() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (32, 48), np.uint8)
    assert np.array_equal(to_square(frame, 32)[0], frame[:, 8:40])
    colour = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    assert np.array_equal(to_square(colour, 32), colour.transpose(2, 0, 1))


def test_shrinking_is_antialiased() -> None:
    stripes = np.tile(np.array([0, 255], np.uint8), (64, 32))  # the finest stripes there are
    # 1 level: rounding. Without antialiasing one in four columns gives all 0 or all 255.
    assert np.abs(to_square(stripes, 16)[0, :, 2:-2].astype(int) - 127.5).max() <= 1


def test_smooth_images_shrink_to_area_means() -> None:
    y, x = np.mgrid[0:96, 0:96]
    smooth = (127 + 60 * np.sin(x / 25) + 50 * np.cos(y / 30)).astype(np.uint8)
    means = smooth.reshape(24, 4, 24, 4).mean(axis=(1, 3))
    # 2 levels: bicubic against a box on a smooth image, rounding.
    assert np.abs(to_square(smooth, 24)[0, 1:-1, 1:-1] - means[1:-1, 1:-1]).max() < 2


def test_colour_needs_a_spread_in_more_than_a_hundredth_of_the_pixels() -> None:
    grey = np.repeat(np.random.default_rng(0).integers(0, 256, (50, 50, 1), np.uint8), 3, 2)
    assert not is_coloured(grey)
    tinted = np.clip(grey + np.array([0, 8, 24]), 0, 255).astype(np.uint8)  # a scanner's tint
    assert not is_coloured(tinted)
    logo = grey.copy()
    logo[:5, :5] = (255, 0, 0)  # exactly a hundredth
    assert not is_coloured(logo)
    logo[:5, :6] = (255, 0, 0)
    assert is_coloured(logo)
