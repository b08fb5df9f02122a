"""Dice and HD95 of the same masks by MONAI: random, tiny, touching, empty; spacing; 2D and 3D."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.metrics import compute_dice, compute_hausdorff_distance
from scipy.ndimage import gaussian_filter

from bench.metrics.segmentation import dice
from bench.metrics.surface_distance import hd95
from tests.unit.metrics.label_maps import hollow, one_hot, random_maps, tiny, touching

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")  # of MONAI to itself
# MONAI has distances and ranks of its percentile in float32
RELATIVE = 1e-6


def by_monai(predicted: np.ndarray, target: np.ndarray, classes: int, spacing: list) -> np.ndarray:
    hot = [torch.from_numpy(one_hot(maps, classes)) for maps in (predicted, target)]
    found = compute_hausdorff_distance(
        *hot, include_background=False, percentile=95, spacing=spacing
    )
    return found.numpy().astype(np.float64)


@pytest.mark.parametrize("shape", [(23, 31), (13, 17, 15)])
@pytest.mark.parametrize("make", [random_maps, tiny, touching, hollow])
@pytest.mark.parametrize("scale", [(1.0, 1.0, 1.0), (0.7, 1.3, 3.0)])
def test_hd95_is_monais(make, shape: tuple[int, ...], scale: tuple[float, ...]) -> None:
    predicted, target = make(shape)
    spacing = np.array(scale[: len(shape)]) * np.linspace(1, 2, len(target))[:, None]
    ours = hd95(predicted, target, 2, spacing)
    theirs = by_monai(predicted, target, 2, spacing.tolist())
    assert np.isfinite(theirs).all()  # no mask is empty, so that all are compared
    assert theirs.max() > 0
    np.testing.assert_allclose(ours, theirs, rtol=RELATIVE)


def test_hd95_of_a_large_smooth_tumour_is_monais() -> None:
    rng = np.random.default_rng(7)
    fields = gaussian_filter(rng.standard_normal((2, 48, 48, 48)), (0, 5, 5, 5))
    fields = fields[0], 0.8 * fields[0] + 0.3 * fields[1]
    predicted, target = ((f > np.quantile(f, 0.9)).astype(np.uint8)[None] for f in fields)
    assert 0.5 < dice(predicted, target, 1)[0, 0] < 0.95
    theirs = by_monai(predicted, target, 1, [[1.0, 1.0, 2.5]])
    assert theirs[0, 0] > 2
    ours = hd95(predicted, target, 1, np.array([[1.0, 1.0, 2.5]]))
    np.testing.assert_allclose(ours, theirs, rtol=RELATIVE)


@pytest.mark.parametrize("shape", [(23, 31), (13, 17, 15)])
@pytest.mark.parametrize("make", [random_maps, tiny, touching, hollow])
def test_dice_is_monais(make, shape: tuple[int, ...]) -> None:
    predicted, target = make(shape)
    predicted[0], target[1] = 0, 0  # one mask empty
    predicted[2], target[2] = 0, 0  # both
    hot = [torch.from_numpy(one_hot(maps, 2)) for maps in (predicted, target)]
    theirs = compute_dice(*hot, include_background=False, ignore_empty=False).numpy()
    ours = dice(predicted, target, 2)
    assert ours[2].tolist() == [1, 1]
    assert ours[:2].tolist() == [[0, 0], [0, 0]]
    np.testing.assert_allclose(ours, theirs, atol=1e-6)  # theirs is a float32
    with_gaps = compute_dice(*hot, include_background=False, ignore_empty=True).numpy()
    there = ~np.isnan(with_gaps)
    assert there.any()
    assert not there.all()  # the convention that is not ours
    np.testing.assert_allclose(ours[there], with_gaps[there], atol=1e-6)


def test_monai_has_no_number_where_one_mask_is_empty() -> None:
    """And we do; of two empty ones MONAI's is an infinity or NaN, too, and ours 0."""
    one, none = np.zeros((1, 9, 12), np.uint8), np.zeros((1, 9, 12), np.uint8)
    one[0, 3:5, 4:9] = 1
    for pair in ((one, none), (none, one), (none, none)):
        with pytest.warns(UserWarning, match="all 0"):
            assert not np.isfinite(by_monai(*pair, 1, [[2.0, 0.5]])).any()
    spacing = np.array([[2.0, 0.5]])
    for pair in ((one, none), (none, one)):
        assert hd95(*pair, 1, spacing)[0, 0] == pytest.approx(np.hypot(18, 6), rel=1e-12)
    assert hd95(none, none, 1, spacing)[0, 0] == 0
