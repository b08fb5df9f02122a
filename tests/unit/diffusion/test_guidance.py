"""Guidance on Gaussians, where every estimate and every guided path is known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from bench.conditions import Condition
from bench.diffusion import guidance, samplers
from bench.diffusion.denoiser import DenoiserFn
from bench.diffusion.grids import edm_grid
from bench.diffusion.guidance.guiding import Guidance
from bench.diffusion.sampling import nfe, sample
from bench.errors import BenchError

S = 0.5
MEANS = (-0.6, 0.8)  # of the two classes, with standard deviation S each
BOTH = Condition(classes=torch.tensor([0, 1]))
UNGUIDED = guidance.build("none")


def denoise_gaussian(x: Tensor, sigma: float, mean: Tensor | float) -> Tensor:
    """D of N(mean, s^2)."""
    return mean + (x - mean) * (S**2 / (S**2 + sigma**2))


def exact_path(mean: Tensor | float) -> Tensor:
    """Where the path of N(mean, s^2) from `noise` at sigma = 80 ends: the distance from the mean
    shrinks as sqrt(s^2 + sigma^2)."""
    return mean + (80 * noise() - mean) * S / math.hypot(S, 80)


def log_density(x: Tensor, sigma: float, mean: float) -> Tensor:
    return -((x - mean) ** 2) / (2 * (S**2 + sigma**2))


def classes_of(cond: Condition | None) -> Tensor:
    assert cond is not None
    assert cond.classes is not None
    return cond.classes.view(-1, 1, 1, 1)


def two_classes(x: Tensor, sigma: float, cond: Condition | None) -> Tensor:
    """The exact denoiser of either class; for class -1 of their even mixture, pixel by pixel."""
    classes = classes_of(cond)
    shares = torch.stack([log_density(x, sigma, mean) for mean in MEANS]).softmax(0)
    estimates = torch.stack([denoise_gaussian(x, sigma, mean) for mean in MEANS])
    mixed = (shares * estimates).sum(0)
    of_class = torch.where(classes == 0, estimates[0], estimates[1])
    return torch.where(classes == -1, mixed, of_class)


def noise() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, 1, 3, 4, generator=generator, dtype=torch.float64)


def drawn(
    denoiser: DenoiserFn, guided: Guidance, cond: Condition | None = BOTH, steps: int = 18
) -> Tensor:
    return sample(denoiser, noise(), edm_grid(steps), cond=cond, guidance=guided).images


def test_weight_1_is_the_conditional_and_0_the_unconditional() -> None:
    conditional = drawn(two_classes, UNGUIDED)
    unconditional = drawn(two_classes, UNGUIDED, BOTH.unconditional())
    one, zero = (drawn(two_classes, guidance.build("classifier_free", weight=w)) for w in (1, 0))
    assert torch.equal(one, conditional)
    assert torch.equal(zero, unconditional)
    assert (conditional - unconditional).abs().max() > 0.1
    means = torch.tensor(MEANS).double().view(2, 1, 1, 1)
    one = drawn(two_classes, guidance.build("classifier_free", weight=1), steps=256)
    assert (one - exact_path(means)).abs().max() < 1e-3  # Heun, 256 steps: 2e-4 of about 2


@pytest.mark.parametrize("weight", [0.0, 0.5, 1.0, 2.5])
@pytest.mark.parametrize("sigma", [0.05, 0.7, 10.0])
def test_the_estimate_is_the_score_of_the_sharpened_density(weight: float, sigma: float) -> None:
    """D_w = x + sigma^2 grad log(p_uncond^(1-w) p_cond^w), by differentiating the densities."""
    x = noise().requires_grad_()
    by_class = torch.stack([log_density(x, sigma, mean) for mean in MEANS])
    conditional = torch.stack([by_class[0][0], by_class[1][1]])
    ((1 - weight) * by_class.logsumexp(0) + weight * conditional).sum().backward()
    assert x.grad is not None
    expected = x.detach() + sigma**2 * x.grad
    guided = guidance.build("classifier_free", weight=weight)
    D = guided.estimate(two_classes, x.detach(), sigma, BOTH, stage=1, others={})
    torch.testing.assert_close(D, expected, rtol=1e-9, atol=1e-9)  # float64, times sigma^2


@pytest.mark.parametrize("weight", [0.0, 1.0, 3.0])
def test_guided_samples_of_shifted_gaussians_are_the_closed_form(weight: float) -> None:
    """Unconditional N(0, s^2), class N(m, s^2): D_w is the denoiser of N(w m, s^2)."""

    def shifted(x: Tensor, sigma: float, cond: Condition | None) -> Tensor:
        mean = torch.where(classes_of(cond) == -1, 0.0, 0.4)
        return denoise_gaussian(x, sigma, mean)

    images = drawn(shifted, guidance.build("classifier_free", weight=weight), steps=256)
    assert (images - exact_path(0.4 * weight)).abs().max() < 1e-3  # as above


def test_outside_its_interval_the_conditional_is_used_and_paid_alone() -> None:
    grid = edm_grid(10)
    interval = (float(grid[6]), float(grid[3]))
    guided = guidance.build("classifier_free", weight=2.0, interval=interval)
    calls: list[tuple[float, bool]] = []

    def spy(x: Tensor, sigma: float, cond: Condition | None) -> Tensor:
        calls.append((sigma, bool((classes_of(cond) == -1).all())))
        return two_classes(x, sigma, cond)

    run = sample(spy, noise(), grid, sampler="euler", cond=BOTH, guidance=guided)
    assert [sigma for sigma, free in calls if free] == grid[3:7].tolist()  # both ends inside
    assert [sigma for sigma, free in calls if not free] == grid.tolist()
    assert run.nfe == len(calls) == 14 == nfe(grid, sampler="euler", guidance=guided)
    never = guidance.build("classifier_free", weight=2.0, interval=(100.0, 200.0))
    assert torch.equal(drawn(two_classes, never), drawn(two_classes, UNGUIDED))


@pytest.mark.parametrize("sampler", sorted(samplers.SAMPLERS.table))
def test_both_passes_are_counted(sampler: str) -> None:
    guided = guidance.build("classifier_free", weight=2.0)
    run = sample(
        two_classes,
        noise(),
        edm_grid(7),
        sampler=sampler,
        cond=BOTH,
        guidance=guided,
        step_noise=lambda step: noise(),
    )
    assert run.nfe == 2 * samplers.nfe(sampler, 7)
    assert nfe(edm_grid(7), sampler=sampler, guidance=guided) == run.nfe
    weight_1 = guidance.build("classifier_free", weight=1.0)
    assert nfe(edm_grid(7), sampler=sampler, guidance=weight_1) == samplers.nfe(sampler, 7)


def test_conditions_without_anything_to_leave_out_are_refused() -> None:
    guided = guidance.build("classifier_free", weight=2.0)
    for cond in (None, Condition(), Condition(images=noise())):
        with pytest.raises(BenchError, match="needs cases with classes or a vector condition"):
            drawn(two_classes, guided, cond)


def test_bad_settings_are_refused() -> None:
    for weight in (math.nan, -1.0):
        with pytest.raises(BenchError, match=r"weight=.* must be finite and >= 0"):
            guidance.build("classifier_free", weight=weight)
    with pytest.raises(BenchError, match="0 <= low <= high"):
        guidance.build("classifier_free", interval=(2.0, 1.0))
    with pytest.raises(BenchError, match="field of guidance 'none': 'weight'"):
        guidance.build("none", weight=1.0)
    with pytest.raises(BenchError, match=r"'classifier_free': .*its fields are numbers"):
        guidance.build("classifier_free", weight="much")


def test_a_guidance_says_what_other_networks_it_needs() -> None:
    guided = guidance.build("discriminator", weight_second=1.0)
    with pytest.raises(BenchError, match="'discriminator' needs a network 'discriminator'"):
        drawn(two_classes, guided)
