"""The band along patch borders by a slow loop, and Dice in it where errors are on seams alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.data.practice_data import write_practice_data
from bench.errors import BenchError
from bench.metrics.band_dice_metric import BandDiceMetric
from bench.metrics.border_band import border_band, patch_starts
from bench.metrics.real import RealData
from bench.metrics.segmentation import dice
from tests.unit.metrics.shares import evidence, hard


@given(st.integers(1, 60).flatmap(lambda s: st.tuples(st.just(s), st.integers(1, s))), st.data())
def test_patches_cover_the_side_and_stay_inside(
    sizes: tuple[int, int], data: st.DataObject
) -> None:
    side, patch = sizes
    stride = data.draw(st.integers(1, patch))
    starts = patch_starts(side, patch, stride)
    covered = {place for start in starts for place in range(start, start + patch)}
    assert covered == set(range(side))
    assert starts == sorted(set(starts))
    assert all(start % stride == 0 for start in starts[:-1])


@pytest.mark.parametrize(
    ("spatial", "patch", "stride", "width"),
    [
        ((12, 16), 4, None, 1),
        ((12, 16), (6, 5), (3, 4), 1),
        ((10, 9, 12), (4, 9, 8), (3, 9, 3), 1),
        ((9, 9, 9), 8, 8, 1),
    ],
)
def test_the_band_by_a_slow_loop(spatial, patch, stride, width: int) -> None:
    patches = (patch,) * len(spatial) if isinstance(patch, int) else patch
    steps = patches if stride is None else (stride,) * 3 if isinstance(stride, int) else stride
    slow = np.zeros(spatial, bool)
    for place in np.ndindex(*spatial):
        for axis, at in enumerate(place):
            starts = patch_starts(spatial[axis], patches[axis], steps[axis])
            planes = {edge for start in starts for edge in (start, start + patches[axis])}
            # the voxel's middle is at + 1/2; a plane lies between edge - 1 and edge
            inner = [edge for edge in planes if 0 < edge < spatial[axis]]
            slow[place] |= any(abs(at + 0.5 - edge) < width for edge in inner)
    found = border_band(spatial, patch, width, stride)
    np.testing.assert_array_equal(found, slow)
    assert 0 < found.mean() < 1


def test_errors_on_seams_are_worse_in_the_band_and_others_better() -> None:
    """A block that is right but for a line at a border, and one that is wrong in the middle."""
    target = np.zeros((1, 16, 16), np.uint8)
    target[:, 2:14, 2:14] = 1
    on_seam, in_middle = target.copy(), target.copy()
    on_seam[0, 7:9] = 0
    in_middle[0, 4, 4] = 0
    metric = BandDiceMetric({"band_patch": 8, "band_width": 1})
    at_seam = metric.estimate(evidence(hard(on_seam, 1), target))
    # the band is rows and columns 7 and 8: 2 * 24 - 4 voxels are true, 24 of them missed
    assert at_seam["dice_band"] == pytest.approx(2 * 20 / (44 + 20))
    assert at_seam["dice_inside"] == 1
    elsewhere = metric.estimate(evidence(hard(in_middle, 1), target))
    assert elsewhere["dice_band"] == 1
    assert elsewhere["dice_inside"] == pytest.approx(2 * 99 / (100 + 99))


def test_without_a_size_patches_are_half_a_side() -> None:
    target = np.random.default_rng(0).integers(0, 2, (3, 8, 12), np.uint8)
    predicted = np.random.default_rng(1).integers(0, 2, (3, 8, 12), np.uint8)
    found = BandDiceMetric({}).estimate(evidence(hard(predicted, 1), target))
    band = border_band((8, 12), (4, 6), 2)
    expected = dice(predicted[:, band], target[:, band], 1).mean()
    assert found["dice_band"] == pytest.approx(expected)


def test_sizes_that_do_not_suit_the_data_are_refused_before_a_trial(tmp_path: Path) -> None:
    real = RealData(str(write_practice_data(tmp_path / "cache", (8, 8, 8)).path))
    BandDiceMetric({}).prepare(real, {"report": 4})
    with pytest.raises(BenchError, match=r"band_dice: a patch as large as the volume, \[8, 8, 8\]"):
        BandDiceMetric({"band_patch": 8}).prepare(real, {"report": 4})


def test_a_band_that_leaves_nothing_inside_is_refused() -> None:
    target = np.ones((1, 8, 8, 8), np.uint8)
    with pytest.raises(BenchError, match="band_width 4 leaves no voxel away from the borders"):
        BandDiceMetric({"band_patch": 4, "band_width": 4}).estimate(
            evidence(hard(target, 1), target)
        )


@pytest.mark.parametrize(
    ("patch", "stride", "width", "said"),
    [
        (17, None, 1, "a patch must have 1 to 16 voxels, as many as the volume; got 17"),
        (4, 5, 1, "patches of 4 voxels need a stride of 1 to 4 to leave none out; got 5"),
        (4, 0, 1, "stride of 1 to 4"),
        (16, None, 1, r"as large as the volume, \[16, 16\], has no border"),
        (4, None, 0, "at least 1 voxel, got 0"),
        ((4, 4, 4), None, 1, r"patch must have 2 sides, got \[4, 4, 4\]"),
    ],
)
def test_grids_that_cannot_be_are_refused(patch, stride, width: int, said: str) -> None:
    with pytest.raises(BenchError, match=said):
        border_band((16, 16), patch, width, stride)
