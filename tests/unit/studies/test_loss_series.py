"""A loss series with noise levels known: the seed's loss, costs by level, and the linear bound."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from bench.data.cache import load_cache
from bench.diffusion import preconditioning
from bench.diffusion.denoiser import Denoiser, loss
from bench.studies.loss_series import LossSeries, linear_cost, series_of


def test_the_summed_loss_is_that_of_the_predicted_noise() -> None:
    """Against the loss as Fast-DDPM's code writes it: of x_t, sum over pixels, mean over batch."""
    scheme = preconditioning.build("fast_ddpm", sigma_data=0.5)
    torch.manual_seed(0)

    class Net(torch.nn.Conv2d):
        c_noise_range = (0.0, 999.0)

        def forward(self, x: torch.Tensor, *_: object) -> torch.Tensor:
            return super().forward(x)

    net = Net(1, 1, 3, padding=1)
    target, noise = torch.randn(6, 1, 8, 8), torch.randn(6, 1, 8, 8)
    sigma = torch.as_tensor(scheme.levels[[0, 3, 9, 0, 5, 1]], dtype=torch.float32)  # type: ignore[attr-defined]
    out = loss(Denoiser(net, scheme), target, sigma, noise)
    log = {"sigma": sigma.numpy(), "sq_error": out.sq_error.detach().numpy()}

    abar = (1 / (1 + sigma.double() ** 2)).reshape(-1, 1, 1, 1)
    x_t = target * abar.sqrt() + noise * (1 - abar).sqrt()
    predicted = net(x_t.float()).detach()
    expected = (noise - predicted).square().sum(dim=(1, 2, 3)).mean()
    series = series_of(log, 6, 64)
    # float32 at the least noise: D - y is a difference of numbers 100 times as large
    assert series.summed == pytest.approx([float(expected)], rel=1e-3)
    assert series.least_noise.tolist() == [2]


def series(n: int, factor: float = 1.0) -> LossSeries:
    """Ten levels at random; cost 1 at the least, .01 elsewhere, times `factor` in the late half."""
    rng = np.random.default_rng(0)
    sigma = np.geomspace(0.01, 157, 10)[rng.integers(10, size=(n, 6))]
    cost = np.where(sigma < 0.02, 1.0, 0.01) * rng.lognormal(0, 0.1, size=sigma.shape)
    cost[n // 2 :] *= factor
    return LossSeries(sigma=sigma, cost=cost, pixels=100)


def test_costs_are_told_by_level() -> None:
    rows = series(2000).by_level()

    assert [round(r[0], 3) for r in rows[:2]] == [0.01, 0.029]
    assert rows[0][2] == pytest.approx(1.005, abs=0.01)  # mean of exp(N(0, .1^2)); 3 errors
    assert sum(r[1] for r in rows) == pytest.approx(1)
    assert sum(r[4] for r in rows) == pytest.approx(1)
    assert rows[0][4] == pytest.approx(0.1 / (0.1 + 0.9 * 0.01), abs=0.02)


def test_a_rise_at_equal_noise_is_measured_whatever_levels_were_drawn() -> None:
    assert series(800).rise() == pytest.approx(0, abs=0.02)  # sd .1 over 4800 draws, and margin
    assert series(800, 1.5).rise() == pytest.approx(np.log(1.5), abs=0.02)


def test_a_rise_is_measured_where_noise_is_continuous() -> None:
    rng = np.random.default_rng(0)
    sigma = np.exp(rng.normal(-1.2, 1.2, size=(2000, 6)))
    cost = 1 / (1 + sigma**2) * rng.lognormal(0, 0.1, size=sigma.shape)
    cost[1000:] *= 1.3

    rise = LossSeries(sigma=sigma, cost=cost, pixels=1).rise()
    assert rise == pytest.approx(np.log(1.3), abs=0.03)  # sigma within a bin differs: 2 errors


def test_the_linear_cost_runs_from_all_of_the_noise_to_none(tmp_path: Path) -> None:
    from bench.workloads.workload import load

    job = load("chexpert")
    data = load_cache(job.open_data(None, job.scale("smoke"), tmp_path, {}).path)
    low, high = linear_cost(data, 1e-4), linear_cost(data, 1e3)

    assert 0.9 < low <= 1  # all of almost invisible noise stays
    assert high < 1e-4  # and next to none of noise beside which pictures are nothing
    assert low > linear_cost(data, 0.1) > high
