"""Coordinate channels: corners at -1 and 1, a patch's are a slice of the whole, what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from backbones.coordinates import coordinates


def test_the_corners_of_a_volume_are_at_minus_one_and_one() -> None:
    whole = coordinates((5, 7, 9))
    assert whole.shape == (3, 5, 7, 9)
    assert whole.dtype == torch.float32
    assert whole[:, 0, 0, 0].tolist() == [-1, -1, -1]
    assert whole[:, -1, -1, -1].tolist() == [1, 1, 1]
    assert whole[:, -1, 0, -1].tolist() == [1, -1, 1]
    assert whole[:, 2, 3, 4].tolist() == pytest.approx([0, 0, 0], abs=1e-7)  # float32


def test_each_channel_rises_along_its_own_axis_alone() -> None:
    whole = coordinates((6, 4, 3)).numpy()
    expected = np.mgrid[0:6, 0:4, 0:3] / np.array([5, 3, 2]).reshape(3, 1, 1, 1) * 2 - 1
    np.testing.assert_allclose(whole, expected, atol=1e-6)  # float32


@pytest.mark.parametrize(
    ("whole", "start", "size"),
    [
        ((17, 12, 9), (3, 0, 5), (8, 12, 4)),
        ((240, 31), (239, 1), (1, 30)),
        ((7, 7, 7), (0,) * 3, (7,) * 3),
    ],
)
def test_a_patchs_coordinates_are_a_slice_of_the_volumes(
    whole: tuple[int, ...], start: tuple[int, ...], size: tuple[int, ...]
) -> None:
    cut = tuple(slice(s, s + n) for s, n in zip(start, size, strict=True))
    assert torch.equal(coordinates(whole, start, size), coordinates(whole)[:, *cut])


def test_a_patch_reaches_to_the_end_unless_told_otherwise() -> None:
    assert torch.equal(coordinates((5, 6), (2, 0)), coordinates((5, 6))[:, 2:])


@pytest.mark.parametrize(
    ("whole", "start", "size", "match"),
    [
        ((8, 8, 8), (1, 0, 0), (8, 8, 8), r"from 1 of 8 voxels .* volume of 8 \(axis 0\)"),
        ((8, 8, 8), (0, 0, -1), (4, 4, 4), r"from -1 of 4 .*\(axis 2\)"),
        ((8, 8, 8), (0, 0, 0), (4, 0, 4), r"from 0 of 0 voxels .*\(axis 1\)"),
        ((8, 8, 8), (0, 0, 8), None, r"from 8 of 0 voxels .*\(axis 2\)"),
        ((8, 8, 8), (0, 0), (4, 4), "not 3, 2 and 2"),
        ((), (), (), "not 0, 0 and 0"),
    ],
)
def test_patches_that_are_not_inside(
    whole: tuple[int, ...], start: tuple[int, ...], size: tuple[int, ...] | None, match: str
) -> None:
    with pytest.raises(ValueError, match=match):
        coordinates(whole, start, size)
