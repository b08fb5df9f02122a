"""Churn against the exact variance of a linear denoiser: the marginal is kept, step by step.

Data N(0, s^2): every step of Euler or Heun multiplies x by a number known in closed form, and churn
adds S_noise^2 (sigma_hat^2 - sigma^2) to the variance; so the variance of the samples is exact
and the only tolerance is the statistics of the draw.
"""

from __future__ import annotations

from itertools import pairwise
from math import inf, sqrt

import pytest
import torch
from torch import Tensor

from bench.conditions import Condition
from bench.diffusion.grids import edm_grid
from bench.diffusion.preconditioning.iddpm import IDDPM
from bench.diffusion.samplers import SAMPLERS, load
from bench.diffusion.sampling import Churn, sample

S = 0.5
PIXELS = 200_000
ONE_STEP = sorted(name for name in SAMPLERS.table if not load(name).multistep)
# A variance from n normal draws has relative standard deviation sqrt(2/n); 4 of them: 1 in 16000.
STATISTICAL = 4 * sqrt(2 / PIXELS)


def ideal(x: Tensor, sigma: float, cond: Condition | None = None) -> Tensor:
    return x * (S**2 / (S**2 + sigma**2))


def draw(key: int) -> Tensor:
    generator = torch.Generator().manual_seed(key)
    return torch.randn(1, PIXELS, generator=generator, dtype=torch.float64)


def spread(sampler: str, sigma: float, sigma_next: float) -> float:
    """The variance that a step of the sampler adds by itself: of ancestral DDPM the posterior's."""
    return (sigma_next * sqrt(1 - (sigma_next / sigma) ** 2)) ** 2 if sampler == "ddpm" else 0.0


def factor(sampler: str, sigma: float, sigma_next: float) -> float:
    """What one step multiplies x by; the slope of the path is x sigma / (s^2 + sigma^2)."""
    if sampler == "ddpm":  # the mean of q(x' | x, x0) at x0 = D x
        D, share = S**2 / (S**2 + sigma**2), (sigma_next / sigma) ** 2
        return share + (1 - share) * D
    h, a = sigma_next - sigma, sigma / (S**2 + sigma**2)
    euler = 1 + h * a
    if sampler in ("euler", "ddim") or sigma_next == 0:
        return euler
    b = sigma_next / (S**2 + sigma_next**2)
    return 1 + h * (a + b * euler) / 2


def exact_variance(sampler: str, n: int, churn: Churn) -> float:
    """The variance of samples of n steps, from the recursion over steps."""
    grid = [*edm_grid(n).tolist(), 0.0]
    variance: float = grid[0] ** 2
    for sigma, sigma_next in pairwise(grid):
        hat = sigma
        if churn.S_tmin <= sigma <= churn.S_tmax:
            hat = sigma * (1 + min(churn.S_churn / n, sqrt(2) - 1))
        variance += churn.S_noise**2 * (hat**2 - sigma**2)
        variance *= factor(sampler, hat, sigma_next) ** 2
        variance += spread(sampler, hat, sigma_next)
    return variance


CHURNS = [
    Churn(S_churn=0),
    Churn(S_churn=10),
    Churn(S_churn=1e6),  # capped at sqrt(2) - 1
    Churn(S_churn=10, S_tmin=0.05, S_tmax=50, S_noise=1.05),
]


@pytest.mark.parametrize("churn", CHURNS)
@pytest.mark.parametrize("sampler", ONE_STEP)
def test_variance_of_samples_is_the_recursions(sampler: str, churn: Churn) -> None:
    samples = sample(
        ideal,
        draw(1000),
        edm_grid(32),
        sampler=sampler,
        churn=churn,
        churn_noise=lambda step: draw(step),
        step_noise=lambda step: draw(500 + step),
    )
    measured = samples.images.square().mean().item()
    assert measured == pytest.approx(exact_variance(sampler, 32, churn), rel=STATISTICAL)


def test_heun_with_churn_keeps_the_marginal_of_the_data() -> None:
    churn = Churn(S_churn=40)
    samples = sample(
        ideal,
        draw(1000),
        edm_grid(256),
        sampler="heun",
        churn=churn,
        churn_noise=lambda step: draw(step),
    )
    # Heun's own error, by the recursion: 3.8e-3 of the variance, falling with the steps squared.
    errors = [exact_variance("heun", n, churn) / S**2 - 1 for n in (256, 512, 1024)]
    assert errors[0] < 4e-3
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.1)
    assert errors[1] / errors[2] == pytest.approx(4, rel=0.1)
    assert samples.images.square().mean().item() == pytest.approx(S**2, rel=STATISTICAL + 4e-3)


def test_churn_is_asked_only_between_its_bounds_and_once_a_step() -> None:
    asked: list[int] = []

    def churn_noise(step: int) -> Tensor:
        asked.append(step)
        return torch.zeros(1, 2)

    grid, churn = edm_grid(18), Churn(S_churn=5, S_tmin=0.05, S_tmax=50)
    sample(ideal, torch.ones(1, 2), grid, churn=churn, churn_noise=churn_noise)
    assert asked == [i for i, sigma in enumerate(grid) if 0.05 <= sigma <= 50]
    assert churn.gamma(50.1, 18) == churn.gamma(0.04, 18) == 0
    assert churn.gamma(1.0, 18) == 5 / 18
    assert Churn(S_churn=9, S_tmax=inf).gamma(80.0, 18) == sqrt(2) - 1


def test_a_discrete_scheme_is_asked_only_at_its_levels() -> None:
    precond = IDDPM()
    seen: list[float] = []

    def spy(x: Tensor, sigma: float, cond: Condition | None = None) -> Tensor:
        seen.append(sigma)
        return ideal(x, sigma)

    sample(
        spy,
        torch.ones(1, 2),
        precond.own_grid(12),
        churn=Churn(S_churn=3),
        churn_noise=lambda step: torch.zeros(1, 2),
        round_sigma=precond.round_sigma,
    )
    assert set(seen) <= set(precond.u.tolist())
    assert len(set(seen)) > 12  # raised to other levels, not only the grid's
