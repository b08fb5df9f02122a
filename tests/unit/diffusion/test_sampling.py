"""The loop: what it asks of a denoiser, how it counts, what it refuses, equal bits with earlier."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from bench.conditions import Condition
from bench.diffusion import guidance, samplers
from bench.diffusion.grids import edm_grid
from bench.diffusion.preconditioning import build
from bench.diffusion.preconditioning.scheme import process_of
from bench.diffusion.sampling import Churn, integrate, nfe, sample
from bench.errors import BenchError

SAMPLERS = sorted(samplers.SAMPLERS.table)
S = 0.5


def ideal(x: Tensor, sigma: float, cond: Condition | None) -> Tensor:
    return x * (S**2 / (S**2 + sigma**2))


def bent(x: Tensor, sigma: float, cond: Condition | None) -> Tensor:
    """Not linear, and in float64, so that any other order of operations shows in the last bits."""
    return torch.tanh(ideal(x, sigma, cond)) + 0.01 * torch.sin(x)


def noise(*shape: int, key: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(key)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def reference(sampler: str, x: Tensor, sigmas: list[float], churn: Churn | None) -> Tensor:
    """Euler and Heun in sigma, written out with the operations in the order they have always had:
    what boards of earlier versions were drawn with."""

    def denoise(x: Tensor, sigma: float) -> Tensor:
        return bent(x, sigma, None).double()

    n = len(sigmas) - 1
    for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        gamma = 0.0 if churn is None else churn.gamma(sigma, n)
        if churn is not None and gamma > 0:
            hat = sigma * (1 + gamma)
            x = x + math.sqrt(hat**2 - sigma**2) * churn.S_noise * noise(*x.shape, key=i + 1)
            sigma = hat
        if sampler == "euler":
            x = x + (sigma_next - sigma) * (x - denoise(x, sigma)) / sigma
            continue
        slope = (x - denoise(x, sigma)) / sigma
        euler = x + (sigma_next - sigma) * slope
        if sigma_next > 0:
            slope_next = (euler - denoise(euler, sigma_next)) / sigma_next
            euler = x + (sigma_next - sigma) * (slope + slope_next) / 2
        x = euler
    return x


@pytest.mark.parametrize("last", [[0.0], []], ids=["to 0", "to sigma_min"])
@pytest.mark.parametrize("kind", ["sigma", "own"])
@pytest.mark.parametrize(
    "churn", [None, Churn(S_churn=10), Churn(S_churn=30, S_tmin=0.05, S_tmax=50, S_noise=1.003)]
)
@pytest.mark.parametrize("sampler", ["euler", "heun"])
def test_sampling_in_sigma_is_equal_to_the_bit_with_the_loop_written_out(
    sampler: str, churn: Churn | None, kind: str, last: list[float]
) -> None:
    x, sigmas = 80 * noise(3, 2, 5, 4), [*edm_grid(18).tolist(), *last]
    drawn = integrate(
        bent,
        x,
        sigmas,
        sampler=sampler,
        process=process_of(build("edm"), kind),  # EDM's own process is sigma's
        churn=churn,
        churn_noise=lambda step: noise(*x.shape, key=step + 1),
    )
    assert torch.equal(drawn.images, reference(sampler, x, sigmas, churn))


class Spy:
    def __init__(self) -> None:
        self.conditions: list[Condition | None] = []

    def __call__(self, x: Tensor, sigma: float, cond: Condition | None) -> Tensor:
        self.conditions.append(cond)
        return ideal(x, sigma, cond)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_condition_arrives_as_it_is_and_evaluations_are_counted(sampler: str) -> None:
    spy, cond = Spy(), Condition(classes=torch.tensor([3, 1]))
    x = noise(2, 1, 4, 4)
    drawn = sample(spy, x, edm_grid(5), sampler=sampler, cond=cond, step_noise=lambda step: x)
    assert all(seen is cond for seen in spy.conditions)
    assert drawn.nfe == len(spy.conditions) == samplers.nfe(sampler, 5)
    assert nfe(edm_grid(5), sampler=sampler) == drawn.nfe


def test_a_denoiser_of_several_networks_counts_them_all() -> None:
    class Five:
        evaluations = 5

        def __call__(self, x: Tensor, sigma: float, cond: Condition | None) -> Tensor:
            return ideal(x, sigma, cond)

    assert sample(Five(), noise(1, 1, 2, 2), edm_grid(4), sampler="heun").nfe == 35


def test_a_churn_free_multistep_run_and_no_other() -> None:
    x = noise(1, 1, 2, 2)
    sample(ideal, x, edm_grid(4), sampler="dpmpp_2m", churn=Churn(S_churn=0))
    with pytest.raises(BenchError, match=r"'dpmpp_2m' builds on its earlier steps.*S_churn=0"):
        sample(
            ideal,
            x,
            edm_grid(4),
            sampler="dpmpp_2m",
            churn=Churn(S_churn=1),
            churn_noise=lambda step: x,
        )


def test_gradients_are_not_kept() -> None:
    x = noise(1, 1, 2, 2).requires_grad_()
    assert not sample(ideal, x, edm_grid(3)).images.requires_grad


def test_bad_requests_say_what_is_wrong() -> None:
    x = noise(1, 1, 2, 2)
    with pytest.raises(BenchError, match=r"unknown sampler 'huen'; did you mean 'heun'\?"):
        sample(ideal, x, edm_grid(3), sampler="huen")
    with pytest.raises(BenchError, match="all > 0"):
        sample(ideal, x, [1.0, 0.0])
    with pytest.raises(BenchError, match="must descend"):
        sample(ideal, x, [1.0, 1.0])
    with pytest.raises(BenchError, match="hold at least one sigma; got"):
        integrate(ideal, x, [])
    with pytest.raises(BenchError, match="churn needs churn_noise"):
        sample(ideal, x, [1.0], churn=Churn(S_churn=1))
    with pytest.raises(BenchError, match="sampler 'ddpm' draws noise; give step_noise"):
        sample(ideal, x, [1.0], sampler="ddpm")
    unread = r"'heun' does not read eta=0\.5; leave eta out, or take a sampler that reads it .ddim."
    with pytest.raises(BenchError, match=unread):
        sample(ideal, x, [1.0], settings={"eta": 0.5})
    with pytest.raises(BenchError, match="S_tmin <= S_tmax"):
        Churn(S_churn=1, S_tmin=2, S_tmax=1)
    with pytest.raises(BenchError, match="S_churn=-1"):
        Churn(S_churn=-1)
    with pytest.raises(BenchError, match=r"unknown guidance 'nome'; did you mean 'none'\?"):
        guidance.build("nome")
