"""X-ray noise against the delta method and the Poisson distribution's own limits."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import poisson

from bench.errors import BenchError
from bench.tasks.xray_noise import FLOOR, XrayNoise

PIXELS = 200_000


def flat(value: float) -> np.ndarray:
    return np.full((1, PIXELS), value, np.float32)


def drawn(noise: XrayNoise, value: float) -> np.ndarray:
    return noise.held_out(flat(value)[None], "report", [3])[0].astype(np.float64)


@pytest.mark.parametrize("value", [-1.0, -0.2, 0.6, 1.0])
@pytest.mark.parametrize(("dose", "read_noise"), [(5e3, 0.0), (5e3, 20.0), (2e4, 40.0)])
def test_mean_and_variance_are_the_delta_methods(
    value: float, dose: float, read_noise: float
) -> None:
    noise = XrayNoise(dose=dose, read_noise=read_noise, attenuation=2.0)
    x = drawn(noise, value)
    photons = dose * math.exp(-2.0 * (value + 1) / 2)
    relative = (photons + read_noise**2) / photons**2  # variance of the count by its square
    # a pixel is -2 ln(count / dose) / attenuation - 1, here of attenuation 2
    variance, bias = relative, relative / 2
    # a sample variance of a near normal variable has the relative sd sqrt(2 / n), .0032 here; the
    # delta method's next term is of the order of `relative`, which is at most .003
    assert x.var() == pytest.approx(variance, rel=4 * 0.0032 + 4 * relative)
    sd_of_mean = math.sqrt(variance / PIXELS)
    # the second order bias is right to the next order, relative^2
    assert x.mean() - value == pytest.approx(bias, abs=4 * sd_of_mean + 4 * relative**2)


def test_few_photons_are_poissons() -> None:
    """Without read noise each pixel is the logarithm of a whole number, as often as Poisson says;
    none is the floor."""
    noise = XrayNoise(dose=3.0, read_noise=0.0, attenuation=1.5)
    x = drawn(noise, 0.0)
    counts = 3.0 * np.exp(-1.5 * (x + 1) / 2)
    expected = 3.0 * math.exp(-0.75)
    for number in range(5):
        seen = np.isclose(counts, max(number, FLOOR), rtol=1e-5).mean()
        share = poisson.pmf(number, expected)
        # binomial: four standard errors
        assert seen == pytest.approx(share, abs=4 * math.sqrt(share * (1 - share) / PIXELS))
    assert noise.floored_share(x.astype(np.float32)) == pytest.approx(
        math.exp(-expected), abs=4 * math.sqrt(0.25 / PIXELS)
    )


def test_a_very_high_dose_is_no_noise() -> None:
    noise = XrayNoise(dose=1e14, read_noise=1.0, attenuation=3.0)
    clean = np.linspace(-1, 1, 64, dtype=np.float32).reshape(1, 8, 8)
    noisy = noise.held_out(clean[None], "report", [0])[0]
    # at the densest 5e12 photons: relative sd 4.5e-7; float32 rounds to 6e-8
    np.testing.assert_allclose(noisy, clean, atol=3e-6)
    assert noise.floored_share(noisy) == 0


def test_the_draw_is_the_numbers_own() -> None:
    noise = XrayNoise()
    clean = np.zeros((3, 1, 4, 4), np.float32)
    whole = noise.held_out(clean, "report", [5, 9, 2])
    assert np.array_equal(noise.held_out(clean[:1], "report", [9])[0], whole[1])
    assert not np.array_equal(whole[0], whole[1])
    trained = noise.training(clean, [5, 9, 2], seed=1)
    assert np.array_equal(noise.training(clean[:1], [2], seed=1)[0], trained[2])
    assert not np.array_equal(noise.training(clean, [5, 9, 2], seed=2), trained)
    assert not np.array_equal(trained, whole)
    volume = noise.held_out(np.zeros((1, 1, 3, 4, 5), np.float32), "report", [0])
    assert volume.shape == (1, 1, 3, 4, 5)
    assert volume.dtype == np.float32


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("dose", 0.0, "dose is photons at an unattenuated pixel, more than 0.5"),
        ("dose", -3.0, "dose is photons"),
        ("dose", math.inf, "dose is photons"),
        ("dose", math.nan, "dose is photons"),
        ("attenuation", 0.0, "attenuation is the dynamic range .* more than 0, got 0"),
        ("attenuation", -1.0, "attenuation is the dynamic range"),
        ("read_noise", -1.0, "read_noise is in photons, 0 or more, got -1"),
    ],
)
def test_noise_that_cannot_be_is_refused(setting: str, value: float, words: str) -> None:
    with pytest.raises(BenchError, match=words):
        XrayNoise(**{setting: value})
