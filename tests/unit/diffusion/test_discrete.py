"""DDPM's and Fast-DDPM's levels and coefficients: published figures, slow loops, Wiener filter."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler

from bench.diffusion.denoiser import Denoiser, loss
from bench.diffusion.grids import sigma_grid
from bench.diffusion.preconditioning import build
from bench.diffusion.preconditioning.discrete import PREDICTIONS, Discrete
from bench.diffusion.preconditioning.fast_ddpm import PUBLISHED
from bench.errors import BenchError

NAMES = ("ddpm", "ddpm_cosine", "fast_ddpm", "fast_ddpm_uniform")
BETAS = {"ddpm": "linear", "ddpm_cosine": "squaredcos_cap_v2"}
FLOAT64 = 1e-12


def scheme(name: str, **settings: object) -> Discrete:
    made = build(name, **settings)
    assert isinstance(made, Discrete)
    return made


def test_abar_of_the_linear_schedule_is_the_published_one() -> None:
    abar = scheme("ddpm").abar
    # Figures of the issue, given to six or seven digits.
    assert abar[0] == pytest.approx(0.9999, rel=1e-12)
    assert abar[199] == pytest.approx(0.659039, abs=5e-7)
    assert abar[499] == pytest.approx(0.0785872, abs=5e-8)
    assert abar[999] == pytest.approx(4.035830e-5, rel=2e-7)
    assert scheme("ddpm").sigma_max == pytest.approx(157.41, abs=5e-3)


@pytest.mark.parametrize("name", sorted(BETAS))
def test_levels_are_those_of_a_slow_loop_and_of_diffusers(name: str) -> None:
    precond, abar = scheme(name), 1.0
    for j in range(1000):
        if name == "ddpm":
            beta = 1e-4 + j * (0.02 - 1e-4) / 999
        else:
            now, then = (
                math.cos((k / 1000 + 0.008) / 1.008 * math.pi / 2) ** 2 for k in (j, j + 1)
            )
            beta = min(1 - then / now, 0.999)
        abar *= 1 - beta
        # 1 - abar cancels: 1e-16 next to 1e-4 or more
        assert precond.levels[j] == pytest.approx(math.sqrt((1 - abar) / abar), rel=1e-10)
    peer = DDIMScheduler(beta_start=1e-4, beta_end=0.02, beta_schedule=BETAS[name])
    # The peer's product of 1000 betas is float32: 1000 roundings of 6e-8.
    np.testing.assert_allclose(precond.abar, peer.alphas_cumprod.numpy(), rtol=6e-5)


def test_the_cosine_grid_starts_below_the_clipped_beta() -> None:
    precond = scheme("ddpm_cosine")
    assert precond.sigma_max == pytest.approx(20_291, rel=1e-3)
    assert 80 < precond.own_grid(5)[0] < 81  # as iDDPM's u_8
    assert scheme("ddpm_cosine", skip=0).own_grid(5)[0] == precond.sigma_max
    assert len(precond.own_grid(992)) == 992
    with pytest.raises(BenchError, match="993 steps asked, it samples on 992 levels"):
        precond.own_grid(993)


def test_the_published_sets_of_steps() -> None:
    assert scheme("fast_ddpm").steps_used().tolist() == list(PUBLISHED)
    uniform = scheme("fast_ddpm_uniform").steps_used().tolist()
    assert uniform == [0, 111, 222, 333, 444, 555, 666, 777, 888, 999]


@pytest.mark.parametrize("name", ["fast_ddpm", "fast_ddpm_uniform"])
@pytest.mark.parametrize("steps", [2, 5, 20, 100, 451])
def test_sets_of_any_number_hold_exactly_that_many(name: str, steps: int) -> None:
    used = scheme(name, train_steps=steps).steps_used()
    assert len(np.unique(used)) == steps
    assert (used[0], used[-1]) == (0, 999)
    if name == "fast_ddpm":
        middle = used[(steps - 1) // 2]
        assert steps == 2 or middle >= 599  # half of the steps lie above 599 of the published set
    else:
        assert np.diff(used).max() - np.diff(used).min() <= 1


def test_too_many_steps_are_refused_in_one_line() -> None:
    with pytest.raises(BenchError, match=r"train_steps=600 are too many: .*use fewer"):
        scheme("fast_ddpm", train_steps=600)
    assert scheme("fast_ddpm_uniform", train_steps=1000).level_count == 1000
    with pytest.raises(BenchError, match=r"train_steps=1001 must be a whole number in 2..T=1000"):
        scheme("fast_ddpm_uniform", train_steps=1001)
    with pytest.raises(BenchError, match=r"11 steps asked, .* 10 levels; use at most 10 steps, or"):
        scheme("fast_ddpm").own_grid(11)
    with pytest.raises(BenchError, match=r"10 steps are too many .* on its edm grid"):
        sigma_grid(scheme("fast_ddpm"), 10, "edm")


@pytest.mark.parametrize("name", ["fast_ddpm", "fast_ddpm_uniform"])
@pytest.mark.parametrize("steps", [7, 10, 25])
def test_training_and_sampling_visit_the_same_sigmas(name: str, steps: int) -> None:
    precond = scheme(name, train_steps=steps)
    u = (np.arange(3 * steps) + 0.5) / (3 * steps)
    trained, counts = np.unique(precond.sigma_from_uniform(u), return_counts=True)
    np.testing.assert_array_equal(trained, precond.own_grid(steps)[::-1])
    assert (counts == 3).all()
    assert set(precond.own_grid(5)) < set(trained)


def test_the_own_grid_is_ddims_subset_with_the_last_level() -> None:
    precond = scheme("ddpm")
    for n in (1, 2, 5, 10, 30, 50, 300, 1000):
        peer = DDIMScheduler(num_train_timesteps=1000, timestep_spacing="trailing")
        peer.set_timesteps(n)
        np.testing.assert_array_equal(precond.own_grid(n), precond.levels[peer.timesteps.numpy()])


@pytest.mark.parametrize("name", NAMES)
def test_c_noise_is_the_nearest_step(name: str) -> None:
    precond = scheme(name)
    sigma = np.concatenate([np.geomspace(1e-3, 1e5, 300), precond.levels[::7]])
    slow = [
        min(range(precond.level_count), key=lambda k: abs(precond.levels[k] - s)) for s in sigma
    ]
    c_noise = precond.coefficients(torch.from_numpy(sigma)).c_noise
    assert c_noise.tolist() == precond.steps_used()[slow].tolist()
    np.testing.assert_array_equal(precond.round_sigma(sigma), precond.levels[slow])


class Ideal(torch.nn.Module):
    """The network that predicts best what it is asked for, on data N(0, s^2), per pixel.

    Of x_j = sqrt(abar) y + sqrt(1 - abar) n, all Gaussian: E[target | x_j] = x_j Cov / Var.
    """

    c_noise_range = (0.0, 999.0)

    def __init__(self, precond: Discrete, s: float) -> None:
        super().__init__()
        self.precond, self.s = precond, s
        self.register_buffer("float64", torch.zeros((), dtype=torch.float64))  # its dtype

    def forward(self, x: torch.Tensor, c_noise: torch.Tensor, classes: None) -> torch.Tensor:
        abar = torch.from_numpy(self.precond.abar)[c_noise.round().long()]
        variance = abar * self.s**2 + 1 - abar
        covariance = {
            "noise": (1 - abar).sqrt(),
            "x0": abar.sqrt() * self.s**2,
            "velocity": (abar * (1 - abar)).sqrt() * (1 - self.s**2),
        }[self.precond.predict]
        return (covariance / variance).view(-1, 1) * x


@pytest.mark.parametrize("predict", PREDICTIONS)
@pytest.mark.parametrize("name", NAMES)
def test_the_ideal_network_gives_the_wiener_filter(name: str, predict: str) -> None:
    precond, s = scheme(name, predict=predict), 0.5
    sigma = torch.from_numpy(precond.own_grid(8))
    x = torch.linspace(-2, 2, 5, dtype=torch.float64) * (s**2 + sigma**2).sqrt()[:, None]
    D = Denoiser(Ideal(precond, s), precond)(x, sigma)
    wiener = x * (s**2 / (s**2 + sigma**2))[:, None]
    # x - sigma F cancels to 1/sigma^2 of x: at most 6e3 roundings; c_noise passes in float32
    torch.testing.assert_close(D, wiener, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("predict", PREDICTIONS)
def test_the_loss_is_the_plain_error_of_the_target(predict: str) -> None:
    precond = scheme("ddpm", predict=predict)
    generator = torch.Generator().manual_seed(0)
    y, n, F = torch.randn(3, 4, 6, generator=generator, dtype=torch.float64)
    sigma = torch.from_numpy(precond.levels[[0, 300, 700, 999]])
    abar = torch.from_numpy(precond.abar[[0, 300, 700, 999]])[:, None]

    class Answers(torch.nn.Module):
        c_noise_range = (0.0, 999.0)

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("float64", torch.zeros((), dtype=torch.float64))

        def forward(self, x: torch.Tensor, c: torch.Tensor, classes: None) -> torch.Tensor:
            torch.testing.assert_close(x, abar.sqrt() * y + (1 - abar).sqrt() * n)
            assert c.tolist() == [0, 300, 700, 999]  # as they are: nothing is mapped
            return F

    target = {
        "noise": n,
        "x0": y,
        "velocity": abar.sqrt() * n - (1 - abar).sqrt() * y,
    }[predict]
    weighted = loss(Denoiser(Answers(), precond), y, sigma, n).weighted
    # at sigma = 0.01 the weight divides what cancelled by 1e-4
    torch.testing.assert_close(weighted, (F - target).square().mean(1), rtol=1e-9, atol=1e-12)


def test_bad_settings_are_refused_by_name() -> None:
    with pytest.raises(
        BenchError, match=r"unknown value of predict in preconditioning 'ddpm': 'v'"
    ):
        scheme("ddpm", predict="v")
    with pytest.raises(BenchError, match=r"predict=1 must be a word"):
        scheme("ddpm", predict=1)
    with pytest.raises(BenchError, match=r"antithetic='no' must be true or false"):
        scheme("ddpm", antithetic="no")
    with pytest.raises(BenchError, match=r"betas must lie between 0 and 1"):
        scheme("ddpm", beta_end=1.5)
    with pytest.raises(BenchError, match=r"skip=1000 must lie in 0..999"):
        scheme("ddpm_cosine", skip=1000)
