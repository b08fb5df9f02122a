"""PSNR and SSIM against scikit-image, and their distribution over cases."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from scipy.ndimage import gaussian_filter
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from bench.errors import BenchError
from bench.metrics.metric import Evidence
from bench.metrics.psnr_metric import MOST_DB, PSNRMetric, psnr, standard_error
from bench.metrics.real import RealData
from bench.metrics.ssim_metric import SSIMMetric, ssim, window_sigma
from bench.predictions import Predictions

SHAPES = [(6, 1, 32, 40), (3, 3, 24, 24), (3, 1, 14, 16, 18)]


def pair(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Smooth pictures in [-1, 1] and the same with noise of another strength each."""
    draw = np.random.default_rng(5)
    clean = gaussian_filter(draw.standard_normal(shape), (0, 0, *(2,) * (len(shape) - 2)))
    clean = clean / np.abs(clean).max()
    level = np.linspace(0.02, 0.3, len(clean)).reshape(-1, *(1,) * (len(shape) - 1))
    noisy = (clean + level * draw.standard_normal(shape)).clip(-1, 1)
    return noisy.astype(np.float32), clean.astype(np.float32)


def evidence(values: np.ndarray, targets: np.ndarray) -> Evidence:
    predictions = Predictions(values=values, passes=1, outside_share=0.0)
    return Evidence(part="report", real=RealData(""), predictions=predictions, targets=targets)


@pytest.mark.parametrize("shape", SHAPES)
def test_both_agree_with_scikit_image(shape: tuple[int, ...]) -> None:
    noisy, clean = pair(shape)
    a, b = noisy.astype(np.float64), clean.astype(np.float64)
    expected = [peak_signal_noise_ratio(t, v, data_range=2.0) for v, t in zip(a, b, strict=True)]
    # errors in float64; torchmetrics has ln 10 in float32, relative 6e-8
    np.testing.assert_allclose(psnr(noisy, clean), expected, rtol=1e-7)
    similar = [
        structural_similarity(
            t,
            v,
            data_range=2.0,
            channel_axis=0,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
        for v, t in zip(a, b, strict=True)
    ]
    # both in float64 with the same window; sums in another order
    np.testing.assert_allclose(ssim(noisy, clean), similar, rtol=1e-8)


def test_the_summary_is_of_the_cases() -> None:
    noisy, clean = pair((9, 1, 16, 16))
    values = psnr(noisy, clean)
    found = PSNRMetric({}).estimate(evidence(noisy, clean))
    assert found["psnr"] == pytest.approx(values.mean())
    assert found["psnr_se"] == pytest.approx(values.std(ddof=1) / 3)
    assert found["psnr_min"] == values.min()
    assert found["psnr_max"] == values.max()
    assert found["psnr_median"] == np.median(values)
    assert (found["psnr_q1"], found["psnr_q3"]) == tuple(np.percentile(values, (25, 75)))
    assert found["psnr_above_30"] == (values > 30).mean()
    assert found["psnr_below_25"] == (values < 25).mean()
    assert 0 < found["psnr_above_30"] < 1  # else nothing was shown
    assert 0 < found["psnr_below_25"] < 1
    assert SSIMMetric({}).estimate(evidence(noisy, clean))["ssim"] == ssim(noisy, clean).mean()


def test_cases_of_one_subject_are_one_draw() -> None:
    """4000 draws of 12 subjects of 8 cases, 2 between subjects and 1 within: the stated error is
    that of their means to a tenth; cases taken one by one would give a third of it."""
    rng = np.random.default_rng(5)
    subjects = np.repeat(np.arange(12), 8)
    draws = 2 * rng.normal(size=(4000, 12))[:, subjects] + rng.normal(size=(4000, 96))
    stated = [standard_error("x", values, subjects)["x_se"] for values in draws]
    true = draws.mean(axis=1).std()
    assert np.sqrt(np.mean(np.square(stated))) == pytest.approx(true, rel=0.1)
    assert standard_error("x", draws[0], None)["x_se"] == pytest.approx(stats.sem(draws[0]))
    assert standard_error("x", draws[0], np.zeros(96, np.int64)) == {}


def test_equal_pictures_have_the_highest_and_one_case_has_no_error() -> None:
    _, clean = pair((1, 1, 16, 16))
    found = PSNRMetric({}).estimate(evidence(clean, clean))
    assert found["psnr"] == MOST_DB
    assert "psnr_se" not in found
    assert SSIMMetric({}).estimate(evidence(clean, clean))["ssim"] == pytest.approx(1.0)


def test_a_small_picture_has_a_smaller_window() -> None:
    assert window_sigma((32, 11)) == 1.5
    assert window_sigma((8, 8)) == pytest.approx(3 / 3.5)
    noisy, clean = pair((4, 1, 5, 6))
    values = ssim(noisy, clean)
    assert all(math.isfinite(value) and value < 1 for value in values)


def test_masks_are_refused() -> None:
    masks = np.zeros((2, 1, 16, 16), np.uint8)
    with pytest.raises(BenchError, match="compare floats in"):
        PSNRMetric({}).estimate(evidence(masks, masks))
