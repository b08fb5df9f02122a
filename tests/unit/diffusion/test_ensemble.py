"""An ensemble is the mean of its members' estimates, and counts them."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from bench.conditions import Condition
from bench.diffusion.ensemble import Ensemble
from bench.diffusion.grids import edm_grid
from bench.diffusion.sampling import sample
from bench.errors import BenchError

S = 0.5


def member(mean: float) -> Callable[..., Tensor]:
    """The denoiser of N(mean, s^2), in float32 as networks answer."""

    def denoise(x: Tensor, sigma: float, cond: Condition | None) -> Tensor:
        return (mean + (x - mean) * (S**2 / (S**2 + sigma**2))).float()

    return denoise


def test_the_mean_of_its_members_is_sampled_and_counted() -> None:
    ensemble = Ensemble([member(0.0), member(0.3), member(1.2)])  # D is linear in the mean: 0.5
    x = torch.randn(2, 1, 3, 4, generator=torch.Generator().manual_seed(0)).double()
    D = ensemble(x, 2.0)
    assert D.dtype == torch.float64
    torch.testing.assert_close(D, 0.5 + (x - 0.5) * (0.25 / 4.25), rtol=1e-6, atol=1e-6)  # float32
    drawn = sample(ensemble, x, edm_grid(128))
    assert drawn.nfe == 3 * 255
    exact = 0.5 + (80 * x - 0.5) * S / math.hypot(S, 80)
    assert (drawn.images - exact).abs().max() < 5e-3  # Heun: 9e-4 of about 1.5, and float32


def test_it_passes_sigmas_and_conditions_on() -> None:
    calls: list[tuple[object, ...]] = []

    def spy(*inputs: object) -> Tensor:
        calls.append(inputs[1:])
        return torch.zeros(1)

    cond = Condition(classes=torch.tensor([1]))
    Ensemble([spy, spy])(torch.zeros(1, 1, 2, 2), 0.7, cond)
    assert calls == [(0.7, cond)] * 2


def test_ensembles_nest_and_are_not_empty() -> None:
    three = Ensemble([member(0.0)] * 3)
    assert Ensemble([three, member(0.0)]).evaluations == 4
    with pytest.raises(BenchError, match="at least one network"):
        Ensemble([])
