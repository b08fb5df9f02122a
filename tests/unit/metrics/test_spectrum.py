"""Radial frequencies: Parseval, waves of a known frequency, bands that add up."""

from __future__ import annotations

import numpy as np
import pytest

from bench.metrics.band_psnr_metric import BandPSNRMetric
from bench.metrics.metric import Evidence
from bench.metrics.psnr_metric import psnr
from bench.metrics.real import RealData
from bench.metrics.spectrum import in_bands, power, radial
from bench.predictions import Predictions

SHAPES = [(3, 1, 32, 40), (2, 3, 17, 20), (2, 1, 8, 9, 10)]


def estimates(values: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    predictions = Predictions(values=values, passes=1, outside_share=0.0)
    seen = Evidence(part="report", real=RealData(""), predictions=predictions, targets=targets)
    return dict(BandPSNRMetric({}).estimate(seen))


@pytest.mark.parametrize("shape", SHAPES)
def test_the_bands_add_up_to_the_mean_square(shape: tuple[int, ...]) -> None:
    pictures = np.random.default_rng(0).standard_normal(shape)
    whole = sum(in_bands(power(pictures)).values())
    mean_square = np.square(pictures).reshape(shape[0], -1).mean(1)
    np.testing.assert_allclose(whole, mean_square, rtol=1e-12)  # Parseval, in float64


@pytest.mark.parametrize(("cycles", "band"), [(2, "low"), (6, "mid"), (8, "high"), (16, "high")])
def test_a_wave_is_in_its_band(cycles: int, band: str) -> None:
    """Of 32 pixels: 2, 6, 8 and 16 cycles are 1/16, 3/16, 1/4 and 1/2 a pixel."""
    wave = np.cos(2 * np.pi * cycles * np.arange(32) / 32)
    shares = in_bands(power(np.broadcast_to(wave, (1, 1, 32, 32))))
    for name, share in shares.items():
        expected = np.square(wave).mean() if name == band else 0.0
        assert share[0] == pytest.approx(expected, abs=1e-12)


def test_white_noise_has_a_flat_spectrum() -> None:
    noise = np.random.default_rng(0).standard_normal((400, 1, 16, 24))
    frequency, mean = radial(power(noise).mean(0))
    assert frequency.tolist() == [k / 16 for k in range(9)]
    # 400 draws of at least one place of 384, each exponential: 5 % a place, four of those
    np.testing.assert_allclose(mean * 16 * 24, 1.0, rtol=0.2)


def test_an_error_in_one_band_is_seen_there_and_nowhere_else() -> None:
    draw = np.random.default_rng(0)
    clean = (0.3 * draw.standard_normal((4, 1, 32, 32))).clip(-1, 1)
    wave = 0.1 * np.cos(2 * np.pi * 12 * np.arange(32) / 32)
    found = estimates(clean + wave, clean)
    # one band has all of the error, so its PSNR is the whole PSNR: 4 / .005 is 29.03 dB
    assert found["psnr_high"] == pytest.approx(10 * np.log10(4 / 0.005), abs=1e-6)
    assert found["psnr_high"] == pytest.approx(psnr(clean + wave, clean).mean(), abs=1e-5)
    assert found["psnr_low"] == found["psnr_mid"] == 100.0
    assert found["psnr_high_se"] == pytest.approx(0, abs=1e-6)


def test_a_blurred_picture_lacks_detail_and_a_noisy_one_has_too_much() -> None:
    draw = np.random.default_rng(0)
    clean = draw.standard_normal((4, 1, 32, 32))
    blurred = (clean + np.roll(clean, 1, -1) + np.roll(clean, 1, -2)) / 3
    assert estimates(blurred, clean)["detail_power"] < 0.6
    assert estimates(clean, clean)["detail_power"] == 1.0
    noisy = clean + draw.standard_normal(clean.shape)
    # twice the power, on 4 x 800 places: 1 / sqrt(3200) is 2 %
    assert estimates(noisy, clean)["detail_power"] == pytest.approx(2.0, rel=0.08)
