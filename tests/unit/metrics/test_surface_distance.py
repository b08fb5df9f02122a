"""HD95 by a slow loop over all pairs of surface voxels, and what it is for masks that are known."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import cdist

from bench.errors import BenchError
from bench.metrics.surface_distance import diagonal, empty_masks, hd95, mask_hd95, spacing_of

SIDES = (5, 6, 4)


def surface(mask: np.ndarray) -> np.ndarray:
    """Places of the voxels with a face neighbour that is not of the mask, one by one."""
    found = []
    for place in np.argwhere(mask):
        for axis, step in itertools.product(range(mask.ndim), (-1, 1)):
            beside = place.copy()
            beside[axis] += step
            inside = 0 <= beside[axis] < mask.shape[axis]
            if not inside or not mask[tuple(beside)]:
                found.append(place)
                break
    return np.array(found)


def directed(one: np.ndarray, other: np.ndarray, spacing: np.ndarray) -> list[np.ndarray]:
    """Distances from one surface to the other, and back."""
    apart = cdist(surface(one) * spacing, surface(other) * spacing)
    return [apart.min(1), apart.min(0)]


masks = st.integers(2, 3).flatmap(
    lambda dims: st.tuples(*(arrays(bool, SIDES[:dims]) for _ in range(2)))
)


@settings(deadline=None, max_examples=60)
@given(masks, st.tuples(*(st.floats(0.2, 5) for _ in range(3))))
def test_of_any_masks_it_is_what_a_slow_loop_says(
    pair: tuple[np.ndarray, np.ndarray], spacing: tuple[float, ...]
) -> None:
    one, other = pair
    steps = np.array(spacing[: one.ndim])
    found = mask_hd95(one, other, steps)
    assert found == mask_hd95(other, one, steps)
    # sums of squares in another order
    assert mask_hd95(one[::-1], other[::-1], steps) == pytest.approx(found, rel=1e-12)
    if one.any() and other.any():
        both = directed(one, other, steps)
        expected = max(float(np.percentile(d, 95)) for d in both)
        assert found == pytest.approx(expected, rel=1e-12)
    elif one.any() or other.any():
        assert found == pytest.approx(np.sqrt(((np.array(one.shape) * steps) ** 2).sum()))
    else:
        assert found == 0


def test_the_conventions_differ() -> None:
    """A long wall and a point at one end of it: the point is near the wall, whose far end is not
    near the point. MedPy's one percentile of both directions is another number."""
    wall, point = np.zeros((2, 40, 3), bool)
    wall[:, 1], point[0, 1] = True, True
    to_point, to_wall = directed(wall, point, np.ones(2))
    assert mask_hd95(wall, point, (1, 1)) == pytest.approx(np.percentile(to_point, 95))
    pooled = np.percentile(np.concatenate([to_point, to_wall]), 95)
    assert pooled < mask_hd95(wall, point, (1, 1))


def test_two_voxels_are_as_far_as_their_spacing_says() -> None:
    predicted, target = np.zeros((2, 2, 9, 9, 9), np.uint8)
    predicted[:, 1, 1, 1], target[:, 3, 4, 5] = 1, 1
    spacing = np.array([[1, 1, 1], [0.5, 2, 3]], np.float32)
    found = hd95(predicted, target, 1, spacing)
    expected = [np.sqrt(4 + 9 + 16), np.sqrt(1 + 36 + 144)]
    assert found[:, 0] == pytest.approx(expected, rel=1e-12)
    assert hd95(predicted, target, 1)[:, 0] == pytest.approx(expected[:1] * 2, rel=1e-12)


def test_what_lies_around_the_masks_is_nothing_to_it() -> None:
    """The same masks in a larger volume, away from its border."""
    rng = np.random.default_rng(3)
    one, other = rng.random((2, 7, 8, 9)) < 0.3
    found = mask_hd95(one, other, (1, 2, 3))
    far = ((20, 3), (0, 9), (5, 5))
    assert mask_hd95(np.pad(one, far), np.pad(other, far), (1, 2, 3)) == found > 0


def test_equal_masks_are_at_0_and_classes_apart() -> None:
    maps = np.random.default_rng(4).integers(0, 3, (3, 8, 8), np.uint8)
    assert hd95(maps, maps, 2).tolist() == [[0, 0]] * 3
    other = np.where(maps == 2, 0, maps).astype(np.uint8)
    found = hd95(other, maps, 2)
    assert found[:, 0].tolist() == [0, 0, 0]
    assert found[:, 1] == pytest.approx(diagonal((8, 8), (1, 1)))
    assert empty_masks(other, 2).tolist() == [[False, True]] * 3
    assert not empty_masks(maps, 2).any()


@pytest.mark.parametrize(
    ("spacing", "said"),
    [
        (np.ones((3, 2)), r"spacing must be \[3, 3\] \(mm\), got \[3, 2\]"),
        (np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]]), r"must be positive; case 1 has \[1.0, 0.0"),
        (np.array([[1, 1, 1], [1, 1, 1], [1, 1, np.nan]]), "must be positive; case 2"),
    ],
)
def test_a_spacing_that_cannot_be_is_refused(spacing: np.ndarray, said: str) -> None:
    with pytest.raises(BenchError, match=said):
        spacing_of(spacing, 3, 3)


def test_maps_of_different_shapes_are_refused() -> None:
    with pytest.raises(BenchError, match=r"predicted \[1, 4, 4\], true \[1, 4, 5\]"):
        hd95(np.zeros((1, 4, 4), np.uint8), np.zeros((1, 4, 5), np.uint8), 1)
