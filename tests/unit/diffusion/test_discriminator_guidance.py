"""Discriminator guidance on Gaussians, where the perfect discriminator is known."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from backbones.inputs import Inputs
from bench.conditions import Condition
from bench.diffusion import guidance
from bench.diffusion.grids import edm_grid
from bench.diffusion.preconditioning.vp import VP
from bench.diffusion.sampling import Samples, nfe, sample
from bench.errors import BenchError

S = 0.5  # standard deviation of the pictures, real or generated
REAL, WRONG = 1.0, 0.3  # their means

Discriminator = Callable[[Tensor, float], Tensor]


def denoise_wrong(x: Tensor, sigma: float, cond: Condition | None) -> Tensor:
    """D of N(WRONG, S^2)."""
    return WRONG + (x - WRONG) * (S**2 / (S**2 + sigma**2))


def log_ratio(x: Tensor, sigma: float) -> Tensor:
    """log N(x; REAL, S^2 + sigma^2) - log N(x; WRONG, S^2 + sigma^2), summed over the pixels."""
    distances = (x - WRONG) ** 2 - (x - REAL) ** 2
    return distances.flatten(1).sum(1) / (2 * (S**2 + sigma**2))


def noise(n: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(n, 1, 3, 4, generator=generator, dtype=torch.float64)


def exact_path(mean: float, n: int = 2) -> Tensor:
    """Where the path of N(mean, S^2) from `noise` at sigma = 80 ends."""
    return mean + (80 * noise(n) - mean) * S / math.hypot(S, 80)


def guided(
    steps: int = 18, network: Discriminator = log_ratio, sampler: str = "heun", **settings: Any
) -> Samples:
    return sample(
        denoise_wrong,
        noise(),
        edm_grid(steps),
        sampler=sampler,
        guidance=guidance.build("discriminator", **settings),
        networks={"discriminator": network},
    )


def test_a_perfect_discriminator_puts_a_wrong_mean_right() -> None:
    run = guided(steps=256, weight=1.0, weight_second=1.0, sigma_min=0.0)
    assert (run.images - exact_path(REAL)).abs().max() < 0.01 * (REAL - WRONG)  # Heun: 2e-4
    assert run.nfe == 2 * (2 * 256 - 1)  # denoiser and discriminator, at every evaluation
    off = guided(steps=256, weight=0.0)
    assert (off.images - exact_path(WRONG)).abs().max() < 0.01 * (REAL - WRONG)
    assert off.nfe == 2 * 256 - 1


def test_the_mean_of_many_samples_is_right_to_one_in_a_hundred() -> None:
    drawn = torch.randn(4000, 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    run = sample(
        denoise_wrong,
        drawn,
        edm_grid(256),
        guidance=guidance.build("discriminator", weight=1.0, weight_second=1.0),
        networks={"discriminator": log_ratio},
    )
    of_these_draws = S * float(drawn.mean())  # how far 4000 draws are from infinitely many
    assert float(run.images.mean()) - of_these_draws == pytest.approx(REAL, rel=0.01)
    # .991: noise alone at sigma_max lacks REAL S / 80 = .006, below sigma_min .003 is not put right


@pytest.mark.parametrize("sigma", [0.05, 0.7, 10.0])
@pytest.mark.parametrize("stage", [1, 2])
def test_the_estimate_is_the_closed_form(sigma: float, stage: int) -> None:
    """sigma^2 grad log_ratio = sigma^2 (REAL - WRONG) / (S^2 + sigma^2) in every pixel."""
    made = guidance.build("discriminator", weight=3.0, weight_second=0.5)
    D = made.estimate(
        denoise_wrong, noise(), sigma, None, stage=stage, others={"discriminator": log_ratio}
    )
    weight = {1: 3.0, 2: 0.5}[stage]
    moved = weight * sigma**2 * (REAL - WRONG) / (S**2 + sigma**2)
    expected = denoise_wrong(noise(), sigma, None) + moved
    torch.testing.assert_close(D, expected, rtol=1e-12, atol=1e-12)  # float64


def test_it_is_off_outside_its_sigmas_and_costs_nothing_there() -> None:
    grid = edm_grid(10)
    settings = {"sigma_min": float(grid[6]), "sigma_max": float(grid[3])}
    asked: list[float] = []

    def spy(x: Tensor, sigma: float) -> Tensor:
        asked.append(sigma)
        return log_ratio(x, sigma)

    run = guided(10, spy, "euler", weight=1.0, **settings)
    assert asked == grid[3:7].tolist()  # both ends inside
    made = guidance.build("discriminator", weight=1.0, **settings)
    assert run.nfe == 14 == nfe(grid, sampler="euler", guidance=made)
    never = guided(10, weight=1.0, sigma_min=100.0)
    assert torch.equal(never.images, guided(10, weight=0.0).images)


def test_the_authors_weigh_the_first_evaluation_alone() -> None:
    grid = edm_grid(18)
    inside = int((grid >= 0.0447).sum())
    default = guidance.build("discriminator")
    assert nfe(grid, sampler="heun", guidance=default) == 35 + inside
    both = guidance.build("discriminator", weight_second=1.0)
    assert nfe(grid, sampler="heun", guidance=both) == 35 + 2 * inside - 1  # sigma_max: first only


def test_the_lower_end_is_the_authors_time() -> None:
    lower = guidance.build("discriminator").sigma_min  # type: ignore[attr-defined]
    assert lower == pytest.approx(VP().own_process().sigma(0.01), abs=5e-5)


def test_boosting_is_of_images_taken_for_generated_at_the_first_evaluation() -> None:
    x = torch.cat([torch.full((1, 1, 3, 4), value).double() for value in (WRONG, REAL)])
    others = {"discriminator": log_ratio}
    assert (log_ratio(x, 1.0) < 0).tolist() == [True, False]
    plain = guidance.build("discriminator", weight=1.0, weight_second=1.0)
    boosted = guidance.build("discriminator", weight=1.0, weight_second=1.0, boost=2.0)
    doubled = guidance.build("discriminator", weight=2.0)

    def estimate(made: Any, stage: int = 1) -> Tensor:
        D: Tensor = made.estimate(denoise_wrong, x, 1.0, None, stage=stage, others=others)
        return D

    assert torch.equal(estimate(boosted)[0], estimate(doubled)[0])
    assert torch.equal(estimate(boosted)[1], estimate(plain)[1])
    assert torch.equal(estimate(boosted, 2), estimate(plain, 2))


def test_what_it_cannot_use_is_refused() -> None:
    for settings in ({"weight": -1.0}, {"boost": math.inf}, {"sigma_min": math.nan}):
        with pytest.raises(BenchError, match=r"must be finite and >= 0"):
            guidance.build("discriminator", **settings)
    with pytest.raises(BenchError, match="0 <= sigma_min <= sigma_max"):
        guidance.build("discriminator", sigma_min=2.0, sigma_max=1.0)
    with pytest.raises(BenchError, match=r"one logit a picture, \(2,\), not \(2, 1\)"):
        guided(4, lambda x, sigma: log_ratio(x, sigma)[:, None])
    inputs = Inputs(spatial=(8, 8), channels=1, out_channels=1)
    with pytest.raises(BenchError, match="a trained discriminator, which no trial has"):
        guidance.build("discriminator").check(inputs)
