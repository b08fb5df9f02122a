"""Every sampler in the table keeps the contract of sampling.integrate."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from bench.diffusion import samplers
from bench.diffusion.grids import edm_grid
from bench.diffusion.sampling import Churn, Samples, integrate, sample
from bench.errors import BenchError

SAMPLERS = sorted(samplers.TABLE)
SIGMA_DATA = 0.5


class Counting:
    """The denoiser of N(0, 0.5^2) that keeps what it was asked."""

    def __init__(self) -> None:
        self.calls: list[tuple[torch.dtype, float, Tensor | None]] = []

    def __call__(self, x: Tensor, sigma: float, cond: Tensor | None) -> Tensor:
        self.calls.append((x.dtype, sigma, cond))
        return (x * (SIGMA_DATA**2 / (SIGMA_DATA**2 + sigma**2))).float()  # as networks answer


def noise(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def churned(sampler: str, x: Tensor, indices: list[int]) -> Samples:
    """Churn noise keyed by (step, sample index), as callers must."""
    return sample(
        Counting(),
        x,
        edm_grid(8),
        sampler=sampler,
        churn=Churn(S_churn=4),
        churn_noise=lambda step: torch.stack(
            [noise(1, 2, 2, seed=100 * step + i) for i in indices]
        ),
    )


@pytest.mark.parametrize("n", [1, 2, 18, 30])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_nfe_is_what_was_asked_and_what_the_table_says(sampler: str, n: int) -> None:
    counting = Counting()
    samples = sample(counting, noise(2, 1, 4, 4), edm_grid(n), sampler=sampler)
    assert samples.nfe == len(counting.calls) == samplers.nfe(sampler, n)
    assert min(sigma for _, sigma, _ in counting.calls) > 0


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_state_is_float64_and_cond_arrives(sampler: str) -> None:
    counting, cond = Counting(), torch.tensor([3, 1])
    samples = sample(counting, noise(2, 1, 4, 4).float(), edm_grid(5), sampler=sampler, cond=cond)
    assert samples.images.dtype == torch.float64
    assert samples.images.shape == (2, 1, 4, 4)
    assert all(dtype == torch.float64 and c is cond for dtype, _, c in counting.calls)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_samples_follow_the_exact_path(sampler: str) -> None:
    x = noise(3, 1, 4, 4)
    images = sample(Counting(), x, edm_grid(256), sampler=sampler).images
    # Measured with tests/measure/sampler_orders.py: Euler 1.1e-2 at 256 intervals, Heun 2e-4.
    assert torch.allclose(images, SIGMA_DATA * x, rtol=0.02, atol=0)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_splitting_a_batch_changes_nothing_with_churn(sampler: str) -> None:
    x = noise(4, 1, 2, 2)
    whole = churned(sampler, x, [0, 1, 2, 3]).images
    parts = [churned(sampler, x[2:], [2, 3]).images, churned(sampler, x[:2], [0, 1]).images]
    assert torch.equal(whole, torch.cat(parts[::-1]))
    assert not torch.equal(whole, sample(Counting(), x, edm_grid(8), sampler=sampler).images)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_global_generator_and_gradients_are_left_alone(sampler: str) -> None:
    before = torch.get_rng_state()
    x = noise(2, 1, 2, 2)
    churned(sampler, x, [0, 1])
    assert torch.equal(torch.get_rng_state(), before)
    assert not sample(Counting(), x.requires_grad_(), edm_grid(3)).images.requires_grad


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_an_image_that_the_denoiser_keeps_is_kept(sampler: str) -> None:
    target = noise(2, 1, 3, 3, seed=1)
    images = sample(lambda x, s, c: target, noise(2, 1, 3, 3), edm_grid(10), sampler=sampler).images
    # The last step, (0 - sigma)/sigma = -1, lands on D itself up to float64 rounding of x at 0.002.
    assert torch.allclose(images, target, rtol=0, atol=1e-12)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_path_cut_in_two_is_the_path(sampler: str) -> None:
    grid, x = edm_grid(9), noise(2, 1, 3, 3) * 80
    whole = integrate(Counting(), x, grid, sampler=sampler)
    first = integrate(Counting(), x, grid[:5], sampler=sampler)
    second = integrate(Counting(), first.images, grid[4:], sampler=sampler)
    assert torch.equal(whole.images, second.images)
    assert whole.nfe == first.nfe + second.nfe


def test_bad_requests_say_what_is_wrong() -> None:
    x = noise(1, 1, 2, 2)
    with pytest.raises(BenchError, match=r"unknown sampler 'huen'; did you mean 'heun'\?"):
        sample(Counting(), x, edm_grid(3), sampler="huen")
    with pytest.raises(BenchError, match="all > 0"):
        sample(Counting(), x, [1.0, 0.0])
    with pytest.raises(BenchError, match="must descend"):
        sample(Counting(), x, [1.0, 1.0])
    with pytest.raises(BenchError, match="churn needs churn_noise"):
        sample(Counting(), x, [1.0], churn=Churn(S_churn=1))
    with pytest.raises(BenchError, match="S_tmin <= S_tmax"):
        Churn(S_churn=1, S_tmin=2, S_tmax=1)
    with pytest.raises(BenchError, match="S_churn=-1"):
        Churn(S_churn=-1)
