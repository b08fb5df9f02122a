"""Denoising error against closed forms: the Gaussian posterior, and denoisers with known error."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.conditions import NOTHING, Condition
from bench.diffusion import preconditioning
from bench.diffusion.gaussian import GaussianDenoiser
from bench.diffusion.grids import EDM_SIGMA_MAX
from bench.errors import BenchError
from bench.metrics.denoising_error import (
    SHARED_SIGMA_RANGE,
    denoising_error,
    shared_sigmas,
    squared_errors,
    summarise,
)
from bench.metrics.denoising_metric import SIGMAS
from bench.nonfinite import NonFiniteError

SD = 0.4


def images(n: int, seed: int = 0) -> np.ndarray:
    draw = np.random.default_rng(seed).standard_normal((n, 1, 8, 8))
    return (SD * draw).astype(np.float32)


def posterior(x: Tensor, sigma: Tensor, condition: Condition = NOTHING) -> Tensor:
    """The optimal D of independent N(0, SD^2) pixels."""
    return x * (SD**2 / (SD**2 + sigma.view(-1, 1, 1, 1) ** 2))


def identity(x: Tensor, sigma: Tensor, condition: Condition) -> Tensor:
    return x


def optimal(sigmas: np.ndarray) -> np.ndarray:
    return SD**2 * sigmas**2 / (SD**2 + sigmas**2)


def test_the_optimal_denoiser_scores_one() -> None:
    sigmas = shared_sigmas()
    got = denoising_error(
        posterior, images(400), sigmas=sigmas, noise_seed=1, optimal_error=optimal(sigmas)
    )
    # 25,600 pixels: each mean square is known to sqrt(2/25600) = 0.9 %, taken three times
    np.testing.assert_allclose(got.relative, 1.0, rtol=0.027)
    assert got.se is not None
    assert abs(got.weighted - 1) < 4 * got.se


def test_identity_denoiser_leaves_the_noise() -> None:
    sigmas = shared_sigmas()
    got = denoising_error(
        identity, images(400), sigmas=sigmas, noise_seed=1, optimal_error=optimal(sigmas)
    )
    np.testing.assert_allclose(got.per_sigma, sigmas**2, rtol=0.027)  # as above
    assert got.weighted == pytest.approx(np.exp(np.log(got.relative).mean()))


def test_per_sigma_by_a_slow_loop() -> None:
    """One exact factor at each sigma passes through, and every sigma weighs alike."""
    sigmas = np.array([0.1, 1.0])
    factor = {0.1: 4.0, 1.0: 1.0}
    errors = squared_errors(posterior, images(6), sigmas=sigmas, noise_seed=1)
    scaled = errors * [factor[s] for s in sigmas]
    base = summarise(errors, sigmas=sigmas, optimal_error=errors.mean(0))
    got = summarise(scaled, sigmas=sigmas, optimal_error=errors.mean(0))
    assert base.weighted == pytest.approx(1.0)
    assert got.relative == pytest.approx((4.0, 1.0))
    assert got.weighted == pytest.approx(2.0)  # geometric mean of 4 and 1


def test_agrees_with_the_gaussian_reference() -> None:
    """Fitted on one half of correlated data, measured on the other: expected_error is met."""
    rng = np.random.default_rng(0)
    mix = rng.standard_normal((16, 16)) / 8
    data = (rng.standard_normal((4000, 16)) @ mix).reshape(-1, 1, 4, 4).astype(np.float32)
    fitted = GaussianDenoiser.fit(data[:2000])
    sigmas = shared_sigmas()
    got = denoising_error(
        fitted,
        data[2000:],
        sigmas=sigmas,
        noise_seed=3,
        optimal_error=fitted.expected_error(sigmas),
    )
    # 2,000 pictures of about 8 free dimensions leave 1 %; taken five times
    np.testing.assert_allclose(got.relative, 1.0, rtol=0.05)


def test_noise_is_common_and_keyed_by_picture() -> None:
    """Whatever the batch size and whichever other sigmas are measured."""
    pictures = images(7)
    seen: list[dict[float, np.ndarray]] = []
    for batch_size, sigmas in ((7, [0.1, 1.0]), (2, [1.0])):
        got: dict[float, list[np.ndarray]] = {}

        def denoise(
            x: Tensor,
            sigma: Tensor,
            condition: Condition,
            got: dict[float, list[np.ndarray]] = got,
        ) -> Tensor:
            got.setdefault(round(float(sigma[0]), 6), []).append(x.numpy().copy())
            return x

        squared_errors(denoise, pictures, sigmas=sigmas, noise_seed=5, batch_size=batch_size)
        seen.append({s: np.concatenate(parts) for s, parts in got.items()})
    np.testing.assert_array_equal(seen[0][1.0], seen[1][1.0])
    noise = (seen[0][1.0] - pictures, (seen[0][0.1] - pictures) / 0.1)
    assert abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 0.15  # 448 pixels: 3 sd
    other = squared_errors(identity, pictures, sigmas=[1.0], noise_seed=6)
    same = squared_errors(identity, pictures, sigmas=[1.0], noise_seed=5)
    assert (other != same).all()


def test_standard_error_is_the_spread_over_picture_sets() -> None:
    sigmas = shared_sigmas(3)
    runs = [
        denoising_error(
            posterior, images(50, s), sigmas=sigmas, noise_seed=s, optimal_error=optimal(sigmas)
        )
        for s in range(60)
    ]
    spread = np.std([r.weighted for r in runs], ddof=1)
    # the sd of 60 values is known to 9 %, taken three times
    assert np.mean([r.se or np.nan for r in runs]) == pytest.approx(spread, rel=0.27)


@pytest.mark.parametrize("scheme", sorted(preconditioning.PRECONDITIONINGS.table))
def test_sampling_crosses_the_range_in_every_setup_and_training_its_low_end(scheme: str) -> None:
    low, high = SHARED_SIGMA_RANGE
    precond = preconditioning.build(scheme, sigma_data=0.5)
    assert precond.sigma_min < low < high <= precond.sigma_max
    q = precond.sigma_from_uniform(np.linspace(0.0005, 0.9995, 2000))
    assert np.quantile(q, 0.01) < low


def test_the_metrics_own_levels_are_the_shared_range() -> None:
    """To three digits; they end where the grid that all setups are sampled on begins."""
    assert SHARED_SIGMA_RANGE[1] == EDM_SIGMA_MAX
    np.testing.assert_allclose(SIGMAS, shared_sigmas(len(SIGMAS)), rtol=5e-3)


def test_an_error_that_grows_with_sigma_is_seen() -> None:
    """A network that errs by 2 % of its output, where D = x - sigma F, as in VP and VE: as good as
    the optimum up to 5, where it was not seen, and far from it over the range."""
    pictures, sigmas = images(100), shared_sigmas()

    def leaky(x: Tensor, sigma: Tensor, condition: Condition) -> Tensor:
        return posterior(x, sigma) + 0.02 * sigma.view(-1, 1, 1, 1)

    got = denoising_error(
        leaky, pictures, sigmas=sigmas, noise_seed=1, optimal_error=optimal(sigmas)
    )
    expected = 1 + (0.02 * sigmas) ** 2 / optimal(sigmas)
    np.testing.assert_allclose(got.relative, expected, rtol=0.054)  # 6,400 pixels, as above
    up_to_5 = float(np.exp(np.log(got.relative[:6]).mean()))
    assert up_to_5 < 1.05
    assert got.weighted > 1.5


def test_a_diverged_network_is_an_error() -> None:
    with pytest.raises(NonFiniteError, match="denoising error"):
        squared_errors(
            lambda x, sigma, condition: x * float("nan"), images(3), sigmas=[1.0], noise_seed=0
        )


@pytest.mark.parametrize("sigmas", [[], [0.0, 1.0], [-1.0], [float("nan")]])
def test_impossible_sigmas(sigmas: list[float]) -> None:
    with pytest.raises(BenchError, match="positive numbers"):
        squared_errors(posterior, images(3), sigmas=sigmas, noise_seed=0)


def test_optimal_errors_must_match_and_be_positive() -> None:
    errors = np.ones((3, 2))
    with pytest.raises(BenchError, match="2 sigmas"):
        summarise(errors, sigmas=[0.1, 1.0], optimal_error=[1.0])
    with pytest.raises(NonFiniteError, match="above 0"):
        summarise(errors, sigmas=[0.1, 1.0], optimal_error=[1.0, 0.0])


def test_three_dimensions_too() -> None:
    volumes = torch.zeros(2, 1, 4, 4, 4)
    errors = squared_errors(identity, volumes, sigmas=[1.0], noise_seed=0)
    assert errors.shape == (2, 1)
    assert 0.4 < errors.mean() < 1.8  # chi-square of 128 voxels, 4 sd


@pytest.mark.parametrize("batch_size", [2, 64])
def test_each_picture_is_denoised_with_its_own_condition(batch_size: int) -> None:
    """A D that adds the class to its estimate errs by the class's square on a clean picture."""

    def shifted(x: Tensor, sigma: Tensor, condition: Condition) -> Tensor:
        assert condition.classes is not None
        return torch.zeros_like(x) + condition.classes.view(-1, 1, 1, 1)

    classes = torch.tensor([0, 3, 1, 4, 2])
    errors = squared_errors(
        shifted,
        np.zeros((5, 1, 4, 4), np.float32),
        sigmas=[0.1, 2.0],
        noise_seed=0,
        condition=Condition(classes=classes),
        batch_size=batch_size,
    )
    np.testing.assert_allclose(errors, np.array([[0, 9, 1, 16, 4]] * 2).T)
