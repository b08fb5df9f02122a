"""Fréchet distance against SciPy and closed forms; its error against a simulation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.linalg

from bench.errors import BenchError
from bench.metrics.extractors import extract
from bench.metrics.frechet import (
    FeatureStatistics,
    FrechetReference,
    frechet_distance,
)
from bench.metrics.jackknife import Float64
from bench.metrics.randconv import build
from bench.nonfinite import NonFiniteError
from tests.unit.metrics.pictures import echo_like


def draw(n: int, width: int, seed: int, *, spread: float = 1.0, shift: float = 0.0) -> Float64:
    rng = np.random.default_rng(seed)
    mix = np.random.default_rng(99).standard_normal((width, width)) / width**0.5
    return shift + spread * rng.standard_normal((n, width)) @ (mix + np.eye(width))


def by_sqrtm(a: Float64, b: Float64) -> float:
    s, t = np.cov(a.T), np.cov(b.T)
    root = scipy.linalg.sqrtm(s @ t)
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(s + t - 2 * root.real))


@pytest.mark.parametrize(("n", "n_reference"), [(300, 400), (40, 400), (300, 40), (40, 30)])
def test_equals_sqrtm(n: int, n_reference: int) -> None:
    a, b = draw(n, 64, 0, spread=1.3, shift=0.1), draw(n_reference, 64, 1)
    got = frechet_distance(FrechetReference.of_features(b, digest="b"), a).value
    # sqrtm of a singular product is good to about the root of machine precision
    assert got == pytest.approx(by_sqrtm(a, b), rel=1e-6)


def test_closed_form_of_gaussians_that_commute() -> None:
    """Features made to have exactly diagonal covariances: FD = |dm|^2 + sum (s - t)^2."""
    basis = np.linalg.qr(np.random.default_rng(0).standard_normal((50, 50)))[0]
    ones = np.ones((50, 1)) / 50**0.5
    q = np.linalg.qr(np.hstack([ones, basis[:, :5]]))[0][:, 1:] * 49**0.5  # mean 0, covariance I
    s, t = np.array([1.0, 2.0, 0.5, 3.0, 0.1]), np.array([2.0, 1.0, 0.5, 0.3, 4.0])
    shift = np.array([0.0, 1.0, -2.0, 0.0, 0.5])
    got = frechet_distance(FrechetReference.of_features(q * t, digest=""), q * s + shift).value
    assert got == pytest.approx(((s - t) ** 2).sum() + (shift**2).sum(), rel=1e-12)


@pytest.mark.parametrize("n", [200, 40])
def test_zero_on_equal_inputs(n: int) -> None:
    a = draw(n, 64, 0)
    got = frechet_distance(FrechetReference.of_features(a, digest=""), a).value
    assert 0 <= got < 1e-6  # the roots of 64 - n eigenvalues that are zero up to 1e-16


def test_order_of_samples_does_not_matter() -> None:
    reference = FrechetReference.of_features(draw(300, 16, 0), digest="")
    a = draw(200, 16, 1, shift=0.2)
    mixed = np.random.default_rng(2).permutation(a)
    first, second = (frechet_distance(reference, x).value for x in (a, mixed))
    assert first == pytest.approx(second, rel=1e-10)  # float64 sums in another order


def test_a_far_mean_does_not_cancel() -> None:
    a = draw(200, 16, 1, shift=0.2) + 1e3  # where sums of squares would
    np.testing.assert_allclose(FeatureStatistics.of(a).cov, np.cov(a.T), rtol=1e-8, atol=1e-9)


def test_jackknife_by_the_slow_way() -> None:
    """Equal blocks: the textbook formula, each leave-out computed by sqrtm."""
    b = draw(300, 6, 0)
    a = draw(100, 6, 1, shift=0.4)
    without = np.array([by_sqrtm(np.delete(a, np.s_[k::20], 0), b) for k in range(20)])
    got = frechet_distance(FrechetReference.of_features(b, digest=""), a)
    se = (19 / 20 * ((without - without.mean()) ** 2).sum()) ** 0.5
    bias = 19 * (without.mean() - by_sqrtm(a, b))
    assert got.se == pytest.approx(se, rel=1e-6)
    assert got.bias == pytest.approx(bias, rel=1e-6)


def test_standard_error_and_bias_match_a_simulation() -> None:
    """Away from the floor: over 200 draws of 128 samples, se is their spread, bias their excess."""
    reference = FrechetReference.of_features(draw(4000, 16, 0), digest="")
    runs = [frechet_distance(reference, draw(128, 16, s, shift=0.3)) for s in range(1, 201)]
    far = frechet_distance(reference, draw(100_000, 16, 999, shift=0.3)).value
    values = np.array([r.value for r in runs])
    se = np.mean([r.se or np.nan for r in runs])
    bias = np.mean([r.bias or np.nan for r in runs])
    # the sd of 200 draws is known to 5 %, a jackknife of 20 blocks to 16 % each, 1 % on average
    assert se == pytest.approx(values.std(ddof=1), rel=0.2)
    assert bias == pytest.approx(values.mean() - far, rel=0.2)
    assert bias > 0


def test_floor_falls_as_one_over_n() -> None:
    reference = FrechetReference.of_features(draw(20_000, 16, 0), digest="")
    mean = {
        n: np.mean([frechet_distance(reference, draw(n, 16, s)).value for s in range(1, 9)])
        for n in (64, 256, 1024)
    }
    # 4 in the limit; higher-order terms and 8 draws each leave about a fifth
    assert mean[64] / mean[256] == pytest.approx(4, rel=0.2)
    assert mean[256] / mean[1024] == pytest.approx(4, rel=0.25)


def test_few_samples_have_a_value_and_no_error() -> None:
    got = frechet_distance(FrechetReference.of_features(draw(50, 4, 0), digest=""), draw(9, 4, 1))
    assert got.se is None
    assert got.bias is None
    assert got.value > 0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_non_finite_features_are_an_error(bad: float) -> None:
    reference = FrechetReference.of_features(draw(50, 4, 0), digest="")
    a = draw(40, 4, 1)
    a[3, 2] = bad
    with pytest.raises(NonFiniteError, match="1 of 160"):
        frechet_distance(reference, a)
    with pytest.raises(BenchError):
        FrechetReference.of_features(a, digest="")


def test_another_extractors_features_are_an_error() -> None:
    reference = FrechetReference.of_features(draw(50, 4, 0), digest="")
    with pytest.raises(BenchError, match="5 columns, the reference 4"):
        frechet_distance(reference, draw(50, 5, 1))


def test_reference_survives_a_file_to_the_bit(tmp_path: Path) -> None:
    reference = FrechetReference.of_images(build(), echo_like(80, seed=0))
    reference.save(tmp_path / "reference.npz")
    again = FrechetReference.load(tmp_path / "reference.npz")
    a = extract(build(), echo_like(80, seed=1))
    assert frechet_distance(reference, a) == frechet_distance(again, a)
    assert again.digest == reference.digest
    assert [p.name for p in tmp_path.iterdir()] == ["reference.npz"]


def test_digest_names_pictures_and_extractor() -> None:
    pictures = echo_like(20, seed=0)
    digest = FrechetReference.of_images(build(), pictures).digest
    assert digest == FrechetReference.of_images(build(), pictures.copy()).digest
    changed = pictures.copy()
    changed[0, 0, 0, 0] += 1
    assert digest != FrechetReference.of_images(build(), changed).digest
