"""The resizer against Pillow, area means and exact cases; grey or colour."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from bench.data.fitting import fitted, fitted_masks, fitted_spacing, is_coloured
from bench.data.reading import Fit


@pytest.mark.parametrize("shape", [(40, 64), (64, 40), (41, 64), (40, 40)])
def test_the_centre_square_is_cut_out(shape: tuple[int, int]) -> None:
    frame = np.zeros(shape, np.uint8)
    side = min(shape)
    top, left = (shape[0] - side) // 2, (shape[1] - side) // 2
    frame[top : top + side + 1, left : left + side + 1] = 200
    square = fitted(frame, (20, 20), "crop", 0)
    assert square.shape == (1, 20, 20)
    assert (square[0, 2:-2, 2:-2] == 200).all()  # the rim also sees what is beyond the cut


def test_no_resize_keeps_every_pixel() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (32, 48), np.uint8)
    assert np.array_equal(fitted(frame, (32, 32), "crop", 0)[0], frame[:, 8:40])
    colour = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    assert np.array_equal(fitted(colour, (32, 32), "crop", 0), colour.transpose(2, 0, 1))


def test_shrinking_is_antialiased() -> None:
    stripes = np.tile(np.array([0, 255], np.uint8), (64, 32))  # the finest stripes there are
    # 1 level: rounding. Without antialiasing one in four columns gives all 0 or all 255.
    assert np.abs(fitted(stripes, (16, 16), "crop", 0)[0, :, 2:-2].astype(int) - 127.5).max() <= 1


def test_smooth_images_shrink_to_area_means() -> None:
    y, x = np.mgrid[0:96, 0:96]
    smooth = (127 + 60 * np.sin(x / 25) + 50 * np.cos(y / 30)).astype(np.uint8)
    means = smooth.reshape(24, 4, 24, 4).mean(axis=(1, 3))
    # 2 levels: bicubic against a box on a smooth image, rounding.
    assert np.abs(fitted(smooth, (24, 24), "crop", 0)[0, 1:-1, 1:-1] - means[1:-1, 1:-1]).max() < 2


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


def _smooth(*shape: int) -> np.ndarray:
    """Waves along every axis, 0..1."""
    axes = np.meshgrid(*[np.arange(n) / n for n in shape], indexing="ij")
    waves = [np.cos(3 * axis + k) for k, axis in enumerate(axes)]
    return 0.5 + 0.45 * np.mean(waves, axis=0)


@pytest.mark.parametrize("shape", [(60, 90), (90, 60), (61, 40)])
@pytest.mark.parametrize("size", [(20, 30), (24, 16), (16, 16)])
def test_any_size_crops_as_pillow_does(shape: tuple[int, int], size: tuple[int, int]) -> None:
    frame = (255 * _smooth(*shape)).astype(np.uint8)
    height, width = shape
    scale = min(height / size[0], width / size[1])
    tall, wide = size[0] * scale, size[1] * scale
    top, left = (height - tall) / 2, (width - wide) / 2
    expected = Image.fromarray(frame).resize(
        (size[1], size[0]), Image.Resampling.BICUBIC, box=(left, top, left + wide, top + tall)
    )
    # 1 level: the box's ends may differ in the last bit of a float
    assert np.abs(fitted(frame, size, "crop", 0)[0].astype(int) - np.asarray(expected)).max() <= 1


@pytest.mark.parametrize("fit", ["crop", "pad"])
@pytest.mark.parametrize("channels", [(), (3,)])
def test_deeper_pixels_are_resized_as_bytes_are(fit: Fit, channels: tuple[int, ...]) -> None:
    bytes_ = (255 * _smooth(60, 45, *channels)).astype(np.uint8)
    small = fitted(bytes_, (16, 20), fit, 0).astype(float)
    deep = fitted(bytes_.astype(np.uint16) * 257, (16, 20), fit, 0)
    floating = fitted(bytes_.astype(np.float32), (16, 20), fit, 0)
    assert deep.dtype == np.uint16
    assert floating.dtype == np.float32
    # Bytes are rounded after each of the two axes: 1 level at most.
    assert np.abs(deep / 257 - small).max() <= 1
    assert np.abs(floating - small).max() <= 1
    assert np.abs(deep / 257 - floating).max() <= 0.5 / 257 + 1e-4  # one rounding, float32


def test_deep_pixels_stay_within_those_of_the_image() -> None:
    edge = np.full((40, 40), 1000, np.uint16)
    edge[:, 20:] = 4095  # bicubic filtering overshoots here
    assert fitted(edge, (27, 27), "crop", 0).max() == 4095
    assert fitted(edge.astype(np.float32), (27, 27), "crop", 0).min() == 1000


def test_padding_keeps_all_and_fills_around() -> None:
    frame = np.full((20, 40), 200, np.uint8)
    padded = fitted(frame, (16, 16), "pad", 7)
    assert padded.shape == (1, 16, 16)
    assert (padded[0, 4:12] == 200).all()
    assert (padded[0, :4] == 7).all()
    assert (padded[0, 12:] == 7).all()


def test_a_slope_in_a_volume_shrinks_to_its_means() -> None:
    slope = np.broadcast_to(np.arange(24, dtype=np.float32)[:, None, None], (24, 16, 20))
    small = fitted(slope, (8, 8, 10), "crop", 0)
    assert small.shape == (1, 8, 8, 10)
    means = np.arange(4, 20).reshape(8, 2).mean(axis=1)  # the middle 16 of 24, in pairs
    # float32; the first and last two see the volume's end
    assert np.allclose(small[0, 2:-2], means[2:-2, None, None], atol=1e-4)
    channels = fitted(np.stack([slope, -slope], axis=-1), (8, 8, 10), "crop", 0)
    assert np.array_equal(channels[0], small[0])
    assert np.array_equal(channels[1], -small[0])


@pytest.mark.parametrize("fit", ["crop", "pad"])
def test_masks_take_the_nearest_class_at_the_images_place(fit: Fit) -> None:
    mask = np.zeros((60, 90), np.uint8)
    mask[20:40, 40:70] = 3
    image = fitted(mask * 80, (20, 20), fit, 0)[0]
    small = fitted_masks(mask[None], (20, 20), fit)[0]
    assert set(np.unique(small)) == {0, 3}
    sure = np.abs(image.astype(int) - 120) > 60  # not at the rim
    assert np.array_equal(small[sure] == 3, image[sure] > 120)
    assert (small == 3).any()


def test_colour_of_deep_pixels_is_judged_in_their_own_range() -> None:
    grey = np.repeat(np.random.default_rng(0).uniform(-5, 5, (50, 50, 1)), 3, 2)
    assert not is_coloured(grey.astype(np.float32))
    grey[:10, :10, 0] += 4
    assert is_coloured(grey.astype(np.float32))


@pytest.mark.parametrize(
    ("source", "size"), [((5, 8, 7), (8, 5, 7)), ((4, 4, 4), (7, 9, 6)), ((9, 7, 6), (4, 4, 4))]
)
def test_centre_cuts_and_pads_without_touching_a_value(
    source: tuple[int, ...], size: tuple[int, ...]
) -> None:
    volume = np.random.default_rng(0).uniform(1, 2, (*source, 2)).astype(np.float32)
    fit = fitted(volume, size, "centre", -1)
    masks = fitted_masks((volume[..., 0] > 1.5).astype(np.uint8)[None], size, "centre")
    expected = np.full((2, *size), -1, np.float32)
    kept = [min(a, b) for a, b in zip(source, size, strict=True)]
    there = tuple(slice((b - k) // 2, (b - k) // 2 + k) for b, k in zip(size, kept, strict=True))
    here = tuple(slice((a - k) // 2, (a - k) // 2 + k) for a, k in zip(source, kept, strict=True))
    expected[(slice(None), *there)] = np.moveaxis(volume[here], -1, 0)
    assert np.array_equal(fit, expected)
    assert np.array_equal(masks[0], expected[0] > 1.5)


def test_spacing_follows_what_is_resampled() -> None:
    spacing, source = (1.0, 2.0, 0.5), (20, 40, 10)
    assert fitted_spacing(spacing, source, (24, 30, 4), "centre") == spacing
    # cropped: 10x20x10 of the source become 5x10x5
    assert fitted_spacing(spacing, source, (5, 10, 5), "crop") == (2.0, 4.0, 1.0)
    # padded: 20x40x10 become 10x20x5
    assert fitted_spacing(spacing, source, (10, 20, 20), "pad") == (2.0, 4.0, 1.0)
