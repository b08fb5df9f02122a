"""The linear-Gaussian reference against solved normal equations, scikit-learn and its own data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.covariance import ledoit_wolf

from bench.diffusion import gaussian
from bench.diffusion.gaussian import GaussianDenoiser
from bench.errors import BenchError

SIGMAS = np.array([0.01, 0.3, 2.0, 50.0])


def images(n: int, shape: tuple[int, ...], seed: int = 0) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    dim = int(np.prod(shape))
    mixing = rng.standard_normal((dim, dim)) * np.geomspace(1, 0.01, dim) / 4
    return (rng.standard_normal((n, dim)) @ mixing - 0.3).reshape(n, *shape)


def covariance(g: GaussianDenoiser) -> NDArray[np.float64]:
    outside = torch.eye(g.dim, dtype=torch.float64) - g.basis @ g.basis.T
    return (g.basis @ torch.diag(g.eigenvalues) @ g.basis.T + g.variance_outside * outside).numpy()


# More images than dimensions, about as many, and few (SVD); 2D of any aspect and 3D.
CASES = [
    (200, (1, 4, 4)),
    (16, (1, 4, 4)),
    (15, (1, 6, 6)),
    (60, (1, 2, 9)),
    (15, (2, 2, 3, 3)),
    (90, (1, 2, 3, 5)),
]


@pytest.mark.parametrize(("n", "shape"), CASES)
def test_covariance_is_the_samples(n: int, shape: tuple[int, ...]) -> None:
    data = images(n, shape)
    g = GaussianDenoiser.fit(data, shrink=False)
    flat = data.reshape(n, -1)
    np.testing.assert_allclose(g.mean.numpy(), flat.mean(0), atol=1e-12)
    np.testing.assert_allclose(covariance(g), np.cov(flat.T, bias=True), atol=1e-12)
    gram = g.basis.T @ g.basis
    np.testing.assert_allclose(gram.numpy(), np.eye(len(gram)), atol=1e-10)
    assert g.shape == shape
    assert (g.eigenvalues.diff() <= 0).all()


@pytest.mark.parametrize(("n", "shape"), CASES)
def test_shrinkage_is_ledoit_and_wolfs(n: int, shape: tuple[int, ...]) -> None:
    data = images(n, shape)
    expected, weight = ledoit_wolf(data.reshape(n, -1))
    g = GaussianDenoiser.fit(data)
    assert 0 < g.shrinkage < 1
    assert g.shrinkage == pytest.approx(weight, rel=1e-9)
    np.testing.assert_allclose(covariance(g), expected, atol=1e-12)


@pytest.mark.parametrize("shrink", [False, True])
@pytest.mark.parametrize(("n", "shape"), CASES)
def test_denoiser_is_the_normal_equations(n: int, shape: tuple[int, ...], shrink: bool) -> None:
    g = GaussianDenoiser.fit(images(n, shape), shrink=shrink)
    cov, mean = covariance(g), g.mean.numpy()
    x = images(len(SIGMAS), shape, seed=1)
    slow = [
        mean + cov @ np.linalg.solve(cov + s**2 * np.eye(g.dim), row.ravel() - mean)
        for row, s in zip(x, SIGMAS, strict=True)
    ]
    D = g(torch.from_numpy(x), torch.from_numpy(SIGMAS))
    assert D.shape == x.shape
    np.testing.assert_allclose(D.numpy().reshape(len(x), -1), slow, atol=1e-9)
    np.testing.assert_allclose(g(torch.from_numpy(x[:1]), SIGMAS[0]).numpy(), D[:1], atol=1e-15)


@pytest.mark.parametrize("shrink", [False, True])
@pytest.mark.parametrize(("n", "shape"), CASES)
def test_expected_error_is_the_trace(n: int, shape: tuple[int, ...], shrink: bool) -> None:
    # Posterior covariance Sigma - Sigma (Sigma + s^2 I)^-1 Sigma; the error is its trace.
    g = GaussianDenoiser.fit(images(n, shape), shrink=shrink)
    cov = covariance(g)
    slow = [
        np.trace(cov - cov @ np.linalg.solve(cov + s**2 * np.eye(g.dim), cov)) / g.dim
        for s in SIGMAS
    ]
    np.testing.assert_allclose(g.expected_error(SIGMAS), slow, rtol=1e-7)  # slow cancels at 0.01
    assert g.expected_error(SIGMAS.reshape(2, 2)).shape == (2, 2)
    assert float(g.expected_error(0.3)) == g.expected_error(SIGMAS)[1]


def test_error_over_the_fitted_images_is_the_expected_one() -> None:
    # Noise averaged exactly: with A = diag of gains, E = ||(A - 1)(y - mu)||^2 + s^2 ||A||^2.
    data = images(200, (1, 4, 4))
    g, s = GaussianDenoiser.fit(data, shrink=False), 0.3
    y = torch.from_numpy(data)
    bias = (g(y, s) - y).square().sum(dim=(1, 2, 3)).mean()
    A = np.linalg.solve(covariance(g) + s**2 * np.eye(16), covariance(g))
    error = (float(bias) + s**2 * (A**2).sum()) / 16
    assert error == pytest.approx(float(g.expected_error(s)), rel=1e-10)


def test_few_images_without_shrinkage_denoise_new_ones_worse() -> None:
    plain, shrunk = (
        GaussianDenoiser.fit(images(20, (1, 6, 6))[:12], shrink=b) for b in (False, True)
    )
    y = torch.from_numpy(images(20, (1, 6, 6))[12:])
    noise = torch.randn(y.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    errors = [(g(y + 0.05 * noise, 0.05) - y).square().mean() for g in (plain, shrunk)]
    assert errors[1] < errors[0] / 2


def test_expected_error_goes_to_the_variance_and_to_zero() -> None:
    g = GaussianDenoiser.fit(images(200, (1, 4, 4)))
    variance = float(np.trace(covariance(g))) / 16
    assert float(g.expected_error(1e6)) == pytest.approx(variance, rel=1e-9)
    assert float(g.expected_error(1e-6)) == pytest.approx(1e-12, rel=1e-6)


def test_large_images_take_evenly_spaced_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gaussian, "MAX_FULL_DIM", 16)
    monkeypatch.setattr(gaussian, "MAX_LOW_RANK", 10)
    data = images(100, (1, 6, 6))
    g = GaussianDenoiser.fit(data, shrink=False)
    assert g.n_images == 10
    subset = data.reshape(100, -1)[::11]
    np.testing.assert_allclose(covariance(g), np.cov(subset.T, bias=True), atol=1e-12)


@pytest.mark.parametrize("n", [10, 60])
def test_save_and_load_to_the_bit(tmp_path: Path, n: int) -> None:
    g = GaussianDenoiser.fit(images(n, (1, 5, 5)))
    g.save(tmp_path / "reference.safetensors")
    back = GaussianDenoiser.load(tmp_path / "reference.safetensors")
    for name in ("mean", "basis", "eigenvalues"):
        assert torch.equal(getattr(back, name), getattr(g, name))
    assert (back.variance_outside, back.shape, back.shrinkage, back.n_images) == (
        g.variance_outside,
        g.shape,
        g.shrinkage,
        g.n_images,
    )
    assert [p.name for p in tmp_path.iterdir()] == ["reference.safetensors"]


def test_bad_input_says_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="needs images as float"):
        GaussianDenoiser.fit(np.zeros((3, 1, 2, 2), np.uint8))
    with pytest.raises(BenchError, match="at least 2 images, got 1"):
        GaussianDenoiser.fit(np.zeros((1, 1, 2, 2)))
    with pytest.raises(BenchError, match="no linear-Gaussian reference at"):
        GaussianDenoiser.load(tmp_path / "none")


@pytest.mark.parametrize(("n", "shape"), [(60, (1, 2, 9)), (9, (2, 3, 5)), (9, (1, 2, 3, 5))])
def test_turned_images_are_denoised_turned(n: int, shape: tuple[int, ...]) -> None:
    """Which axis is which does not matter, as long as it is the same for all."""
    data, x = images(n, shape), images(4, shape, seed=1)
    turned = (0, 1, *range(len(shape), 1, -1))  # of N C *spatial, spatial axes backwards
    D = GaussianDenoiser.fit(data)(torch.from_numpy(x), 0.4)
    D_turned = GaussianDenoiser.fit(data.transpose(turned))(
        torch.from_numpy(x.transpose(turned)), 0.4
    )
    torch.testing.assert_close(D.permute(turned), D_turned, rtol=1e-9, atol=1e-12)


def test_states_of_another_shape_are_refused() -> None:
    g = GaussianDenoiser.fit(images(20, (1, 2, 9)))
    with pytest.raises(BenchError, match=r"of \(1, 2, 9\) images, got \(1, 9, 2\)"):
        g(torch.zeros(3, 1, 9, 2), 1.0)


def test_images_that_are_all_alike_are_still_denoised() -> None:
    g = GaussianDenoiser.fit(np.full((5, 1, 2, 2), 0.25))
    D = g(torch.zeros(1, 1, 2, 2), 1.0)
    assert torch.equal(D, torch.full((1, 1, 2, 2), 0.25, dtype=torch.float64))
    assert float(g.expected_error(1.0)) == 0
