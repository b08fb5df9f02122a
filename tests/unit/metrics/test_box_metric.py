"""Sharpness and distance inside and outside boxes, against slow loops and made-up blur."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, laplace

from bench.data import cache
from bench.data.cache_index import CacheIndex, write_index
from bench.data.value_range import BYTE_RANGE
from bench.errors import BenchError
from bench.metrics.box_metric import BoxMetric, sharpness
from bench.metrics.metric import Evidence
from bench.metrics.real import RealData
from bench.predictions import Predictions
from bench.tasks.task import offered_metrics

SIDE, PER_PART = 16, 24
INSIDE = slice(4, 12)
COUNTS = {"select": PER_PART, "report": PER_PART}


def _pictures(seed: int) -> NDArray[np.uint8]:
    """Noise that is rough everywhere."""
    rng = np.random.default_rng(seed)
    return rng.integers(60, 200, (PER_PART, 3, SIDE, SIDE), np.uint8)


def _real(folder: Path, *, masks: bool = True) -> RealData:
    """A cache whose boxes are all in the middle."""
    folder.mkdir()
    images = np.concatenate([_pictures(part) for part in range(3)])
    inside = np.zeros((len(images), 1, SIDE, SIDE), np.uint8)
    inside[..., INSIDE, INSIDE] = 1
    (folder / cache.IMAGES).write_bytes(images.tobytes())
    if masks:
        (folder / cache.MASKS).write_bytes(inside.tobytes())
    count = len(images)
    np.savez(
        folder / cache.FRAMES,
        subject=np.arange(count, dtype=np.int32),
        part=np.repeat(np.arange(3, dtype=np.uint8), PER_PART),
    )
    index = CacheIndex(
        digest="boxes", shape=images.shape, dtype="uint8", value_range=BYTE_RANGE, sigma_data=0.3,
        name="boxes", simulated=True, mask_count=int(masks),
    )  # fmt: skip
    write_index(folder / cache.INDEX, index)
    return RealData(str(folder))


def _estimates(real: RealData, pictures: NDArray[np.uint8]) -> Mapping[str, float]:
    metric = BoxMetric({"extractor": "randconv", "n_reference": 100})
    metric.prepare(real, COUNTS)
    predictions = Predictions(values=pictures, passes=1, outside_share=0.0)
    return metric.estimate(Evidence(part="report", real=real, predictions=predictions))


def test_sharpness_is_the_weighted_mean_square_of_scipys_laplacian() -> None:
    pictures = _pictures(5)[:3]
    weights = np.random.default_rng(0).random((SIDE, SIDE))
    for picture, energy in zip(pictures, sharpness(pictures, weights), strict=True):
        grey = picture.astype(float).mean(axis=0)
        squares = laplace(grey)[1:-1, 1:-1] ** 2
        inner = weights[1:-1, 1:-1]
        assert energy == pytest.approx((squares * inner).sum() / inner.sum(), rel=1e-12)  # float64


def test_a_linear_ramp_has_no_sharpness_and_volumes_have_three_axes() -> None:
    ramp = np.broadcast_to(np.arange(SIDE, dtype=np.uint8) * 9, (1, 1, SIDE, SIDE))
    assert sharpness(ramp, np.ones((SIDE, SIDE))).tolist() == [0]
    volume = np.random.default_rng(1).integers(0, 255, (1, 1, 5, 6, 7), np.uint8)
    expected = (laplace(volume[0, 0].astype(float))[1:-1, 1:-1, 1:-1] ** 2).mean()
    assert sharpness(volume, np.ones((5, 6, 7)))[0] == pytest.approx(expected, rel=1e-12)


def test_real_pictures_are_as_sharp_as_real_ones(tmp_path: Path) -> None:
    real = _real(tmp_path / "cache")
    same = _estimates(real, real.pictures("report", 100))
    assert same["sharp_inside"] == pytest.approx(1, rel=1e-12)  # float64, the same pictures
    assert same["sharp_outside"] == pytest.approx(1, rel=1e-12)
    # a distance of a set to itself is rounding of features of about 1
    assert same["fd_randconv_inside"] == pytest.approx(0, abs=1e-3)
    assert same["fd_randconv_outside"] == pytest.approx(0, abs=1e-3)
    fresh = _estimates(real, _pictures(9))
    for side in ("inside", "outside"):
        error = fresh[f"sharp_{side}_se"]
        assert abs(fresh[f"sharp_{side}"] - 1) < 4 * error  # standard errors
        assert error < 0.1


def test_blur_around_the_box_is_seen_there_alone(tmp_path: Path) -> None:
    real = _real(tmp_path / "cache")
    sharp = _pictures(9)
    blurred = gaussian_filter(sharp.astype(float), (0, 0, 1.5, 1.5)).astype(np.uint8)
    around, within = blurred.copy(), sharp.copy()
    around[..., INSIDE, INSIDE] = sharp[..., INSIDE, INSIDE]
    within[..., INSIDE, INSIDE] = blurred[..., INSIDE, INSIDE]
    clear, outside, inside = (_estimates(real, p) for p in (sharp, around, within))
    assert outside["sharp_outside"] < 0.5 < 0.8 < outside["sharp_inside"]
    assert inside["sharp_inside"] < 0.5 < 0.8 < inside["sharp_outside"]
    assert outside["fd_randconv_outside"] > 1.5 * clear["fd_randconv_outside"]
    assert inside["fd_randconv_inside"] > 1.5 * clear["fd_randconv_inside"]
    # what is on the other side is faded away: the distance there is that of the sharp pictures
    key = "fd_randconv_inside"
    assert outside[key] == pytest.approx(clear[key], rel=1e-6)  # equal pictures


def test_without_masks_it_is_refused_by_name_or_left_out(tmp_path: Path) -> None:
    real = _real(tmp_path / "cache", masks=False)
    with pytest.raises(BenchError, match="metric box needs the boxes or masks"):
        _estimates(real, _pictures(9))
    assert offered_metrics(("fd", "box", "kd"), have_masks=True) == ("fd", "box", "kd")
    assert offered_metrics(("fd", "box", "kd"), have_masks=False) == ("fd", "kd")
    assert offered_metrics(("box", "fd"), have_masks=False) == ("box", "fd")  # the score


def test_boxes_that_fill_their_pictures_leave_nothing_outside(tmp_path: Path) -> None:
    real = _real(tmp_path / "cache")
    ones = np.ones((3 * PER_PART, 1, SIDE, SIDE), np.uint8)
    (tmp_path / "cache" / cache.MASKS).write_bytes(ones.tobytes())
    with pytest.raises(BenchError, match=r"leave no pixel outside in the .* part; .*--box-padding"):
        _estimates(real, _pictures(9))


def test_the_measures_point_where_they_should() -> None:
    metric = BoxMetric({"extractor": "randconv", "n_reference": 100})
    directions = {m.key: m.direction for m in metric.measures}
    assert directions == {
        "fd_randconv_inside": "lower", "fd_randconv_outside": "lower",
        "sharp_inside": "none", "sharp_outside": "none",
    }  # fmt: skip
    assert metric.seconds((3, 16, 16)) > 0
