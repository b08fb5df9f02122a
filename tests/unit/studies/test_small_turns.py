"""Small turns of pictures, against torchvision's functions one after another."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode, functional

from bench.streams import stream
from bench.studies.small_turns import DEGREES, SMALLEST, Turns, drawn_turns, turned

STILL = Turns(
    degrees=np.zeros(1),
    share=np.ones(1),
    across=np.zeros(1),
    down=np.zeros(1),
    mirrored=np.zeros(1, bool),
)
EXACT = {"rtol": 0.0, "atol": 1e-5}  # float32 interpolation of numbers up to 1


def picture(height: int = 20, width: int = 30) -> Tensor:
    noise = np.random.default_rng(0).standard_normal((1, 2, height, width))
    smooth = gaussian_filter(noise, (0, 0, 1, 1))
    return torch.from_numpy(smooth / np.abs(smooth).max()).float()


def test_nothing_asked_is_nothing_done() -> None:
    torch.testing.assert_close(turned(picture(), STILL), picture(), **EXACT)
    mirrored = turned(picture(), replace(STILL, mirrored=np.ones(1, bool)))
    torch.testing.assert_close(mirrored, picture().flip(3), **EXACT)


@pytest.mark.parametrize("degrees", [-90.0, -7.0, 15.0])
def test_it_rotates_as_torchvision_does(degrees: float) -> None:
    """Inside: at the edges torchvision leaves half-covered pixels black, and here they fade."""
    found = turned(picture(), replace(STILL, degrees=np.array([degrees])))
    expected = functional.rotate(
        picture(), degrees, interpolation=InterpolationMode.BILINEAR, fill=[-1.0, -1.0]
    )
    inside = (slice(None), slice(None), slice(8, 12), slice(8, 22))
    torch.testing.assert_close(found[inside], expected[inside], **EXACT)
    black = (slice(None), slice(None), slice(0, 2), slice(0, 2))
    if degrees == -90.0:  # of a picture wider than high
        assert torch.equal(found[black], torch.full((1, 2, 2, 2), -1.0))


def test_it_crops_and_resizes_as_torchvision_does() -> None:
    """A window of 16 x 24 pixels whose corner is at (3, 1): of 20 x 30, .8 of the sides."""
    moves = {"down": np.array([(3 + 8 - 10) / 10]), "across": np.array([(1 + 12 - 15) / 15])}
    found = turned(picture(), replace(STILL, share=np.array([0.8]), **moves))
    expected = functional.resized_crop(picture(), 3, 1, 16, 24, [20, 30], antialias=False)
    inside = (slice(None), slice(None), slice(1, -1), slice(1, -1))  # beyond a window it sees on
    torch.testing.assert_close(found[inside], expected[inside], **EXACT)


def test_the_order_is_rotation_window_mirror() -> None:
    turns = Turns(
        degrees=np.array([10.0]),
        share=np.array([0.8]),
        across=np.array([(4 + 12 - 15) / 15]),
        down=np.array([(2 + 8 - 10) / 10]),
        mirrored=np.ones(1, bool),
    )
    smooth = torch.from_numpy(gaussian_filter(picture(60, 90).numpy(), (0, 0, 6, 6)))
    smooth = smooth / smooth.abs().max()  # so smooth that a second interpolation is harmless
    expected = functional.rotate(smooth, 10.0, interpolation=InterpolationMode.BILINEAR)
    expected = functional.resized_crop(expected, 6, 12, 48, 72, [60, 90], antialias=False).flip(3)
    found = turned(smooth, turns)
    inside = (slice(None), slice(None), slice(20, 40), slice(30, 60))
    assert (found - expected)[inside].abs().max() < 0.01
    assert (turned(smooth, replace(turns, degrees=-turns.degrees)) - expected)[inside].std() > 0.05


def test_a_pictures_turn_is_its_own_draws() -> None:
    x = picture().repeat(5, 1, 1, 1)

    def draws(numbers: range) -> list[np.random.Generator]:
        return [stream(0, "test", k) for k in numbers]

    whole = turned(x, drawn_turns(draws(range(5))))
    alone = turned(x[:1], drawn_turns(draws(range(3, 4))))
    torch.testing.assert_close(whole[3:4], alone, **EXACT)
    assert len(np.unique(whole.numpy().reshape(5, -1), axis=0)) == 5


def test_draws_stay_within_their_limits() -> None:
    turns = drawn_turns([stream(1, "test", k) for k in range(2000)])
    assert np.abs(turns.degrees).max() <= DEGREES
    assert (turns.share.min() >= SMALLEST) & (turns.share.max() <= 1)
    for moved in (turns.across, turns.down):
        assert (np.abs(moved) + turns.share <= 1 + 1e-12).all()  # windows lie inside
    assert abs(turns.mirrored.mean() - 0.5) < 0.05  # four standard errors
    assert turns.degrees.std() == pytest.approx(DEGREES / 3**0.5, rel=0.05)
