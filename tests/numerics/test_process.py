"""Each scheme's own process: Table 1 written out, the general Algorithm 1, invariance of 2M."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.conditions import Condition
from bench.diffusion.grids import edm_grid, sigma_grid
from bench.diffusion.preconditioning import build
from bench.diffusion.preconditioning.scheme import process_of
from bench.diffusion.sampling import Churn, sample
from bench.errors import BenchError

S = 0.5


def ideal(x: Tensor, sigma: float, cond: Condition | None = None) -> Tensor:
    return x * (S**2 / (S**2 + sigma**2))


# sigma(t) and s(t) of Karras et al. 2022, Table 1, and t on the scheme's own grid.
Function = Callable[[float], float]
TABLE_1: dict[str, tuple[Function, Function]] = {
    "vp": (
        lambda t: math.sqrt(math.exp(0.5 * 19.9 * t**2 + 0.1 * t) - 1),
        lambda t: 1 / math.sqrt(math.exp(0.5 * 19.9 * t**2 + 0.1 * t)),
    ),
    "ve": (lambda t: math.sqrt(t), lambda t: 1.0),
    "iddpm": (lambda t: t, lambda t: 1.0),
    "edm": (lambda t: t, lambda t: 1.0),
}


@pytest.mark.parametrize("scheme", sorted(TABLE_1))
def test_own_processes_are_table_1(scheme: str) -> None:
    process = build(scheme).own_process()
    sigma_of, scale_of = TABLE_1[scheme]
    for t in (0.01, 0.2, 0.5, 1.0, 1.3):
        assert process.sigma(t) == pytest.approx(sigma_of(t), rel=1e-10)  # exp(x) - 1 cancels
        assert process.scale(t) == pytest.approx(scale_of(t), rel=1e-12)
        assert process.time(process.sigma(t)) == pytest.approx(t, rel=1e-10)
        h = 1e-6 * t  # central differences lose about 1e-10 to rounding and 1e-11 to curvature
        slope = (sigma_of(t + h) - sigma_of(t - h)) / (2 * h)
        assert process.sigma_slope(t) == pytest.approx(slope, rel=1e-6)
        slope = (scale_of(t + h) - scale_of(t - h)) / (2 * h)
        assert process.scale_slope(t) == pytest.approx(slope, rel=1e-6, abs=1e-12)


# Euler, 18 steps and the one to 0 among them, from latent 1, on the scheme's own grid: computed
# apart from this code from Eq. 4, to five digits; exact: .49999 (.5 less the tail above sigma_max).
PUBLISHED = {
    ("vp", "own"): 0.48984,
    ("ve", "own"): 1.59048,
    ("vp", "sigma"): 0.42286,
    ("ve", "sigma"): 0.44087,
}


@pytest.mark.parametrize(("scheme", "kind"), sorted(PUBLISHED))
def test_euler_in_18_steps_gives_the_known_figures(scheme: str, kind: str) -> None:
    precond = build(scheme)
    drawn = sample(
        ideal,
        torch.ones(1, 1, dtype=torch.float64),
        sigma_grid(precond, 18, "own"),
        sampler="euler",
        process=process_of(precond, kind),
    )
    assert drawn.images.item() == pytest.approx(PUBLISHED[scheme, kind], abs=5e-6)


@pytest.mark.parametrize("sampler", ["euler", "heun"])
@pytest.mark.parametrize("scheme", ["vp", "ve"])
def test_steps_are_the_general_algorithm_1_in_numbers(scheme: str, sampler: str) -> None:
    """Line 4 as the paper writes it, (sigma'/sigma + s'/s) x - sigma' s / sigma D(x/s; sigma), with
    derivatives by differences, on a denoiser that is not linear."""
    sigma_of, scale_of = TABLE_1[scheme]
    precond = build(scheme)
    process = precond.own_process()
    grid = precond.own_grid(9)

    def bent(z: float, sigma: float) -> float:
        return math.tanh(z * S**2 / (S**2 + sigma**2))

    def slope(x: float, t: float) -> float:
        h = 1e-6 * t
        sigma, scale = sigma_of(t), scale_of(t)
        sigma_slope = (sigma_of(t + h) - sigma_of(t - h)) / (2 * h)
        scale_slope = (scale_of(t + h) - scale_of(t - h)) / (2 * h)
        linear = (sigma_slope / sigma + scale_slope / scale) * x
        return linear - sigma_slope * scale / sigma * bent(x / scale, sigma)

    times = [process.time(sigma) for sigma in grid.tolist()] + [0.0]
    x = scale_of(times[0]) * sigma_of(times[0]) * 0.7
    for t, t_next in pairwise(times):
        first = slope(x, t)
        x_next = x + (t_next - t) * first
        if sampler == "heun" and t_next > 0:
            x_next = x + (t_next - t) * (first + slope(x_next, t_next)) / 2
        x = x_next
    drawn = sample(
        lambda z, sigma, cond: torch.tanh(ideal(z, sigma)),
        torch.full((1, 1), 0.7, dtype=torch.float64),
        grid,
        sampler=sampler,
        process=process,
    )
    # Differences lose 1e-10 of each slope; the first steps of VE scale that up by 1e2.
    assert drawn.images.item() == pytest.approx(x, rel=1e-6)


@pytest.mark.parametrize("scheme", ["vp", "ve"])
def test_the_multistep_solver_is_the_same_under_either_process(scheme: str) -> None:
    precond = build(scheme)
    grid = precond.own_grid(12)
    noise = torch.randn(2, 1, 3, 3, generator=torch.Generator().manual_seed(0)).double()
    in_sigma, in_time = (
        sample(
            lambda z, sigma, cond: torch.tanh(ideal(z, sigma)),
            noise,
            grid,
            sampler="dpmpp_2m",
            process=process_of(precond, kind),
        ).images
        for kind in ("sigma", "own")
    )
    torch.testing.assert_close(in_sigma, in_time, rtol=1e-9, atol=1e-12)  # float64 rounding


@pytest.mark.parametrize("scheme", ["vp", "ve"])
def test_churn_under_an_own_process_keeps_the_marginal(scheme: str) -> None:
    """Each Euler step in t multiplies the unscaled state by a number known in closed form; churn
    adds S_noise^2 (sigma_hat^2 - sigma^2) to its variance."""
    precond, pixels, n = build(scheme), 200_000, 24
    process, churn = precond.own_process(), Churn(S_churn=8, S_noise=1.01)
    grid = edm_grid(n, 0.02, 80.0)

    def draw(key: int) -> Tensor:
        generator = torch.Generator().manual_seed(key)
        return torch.randn(1, pixels, generator=generator, dtype=torch.float64)

    variance = grid[0] ** 2
    for sigma, sigma_next in pairwise([*grid.tolist(), 0.0]):
        hat = sigma * (1 + min(8 / n, math.sqrt(2) - 1))
        variance += 1.01**2 * (hat**2 - sigma**2)
        t, t_next = process.time(hat), process.time(sigma_next)
        a = process.scale_slope(t) / process.scale(t)
        a += process.sigma_slope(t) * hat / (S**2 + hat**2)
        variance *= ((1 + (t_next - t) * a) * process.scale(t) / process.scale(t_next)) ** 2
    drawn = sample(
        ideal,
        draw(1000),
        grid,
        sampler="euler",
        process=process,
        churn=churn,
        churn_noise=draw,
    )
    # A variance from n normal draws has relative standard deviation sqrt(2/n); four of them.
    expected = pytest.approx(variance, rel=4 * math.sqrt(2 / pixels))
    assert drawn.images.square().mean().item() == expected


def test_an_unknown_process_names_those_there_are() -> None:
    with pytest.raises(BenchError, match=r"unknown process 'won'; did you mean 'own'\? \(own, sig"):
        process_of(build("vp"), "won")
    assert np.isfinite(process_of(build("vp"), "own").time(150.0))
