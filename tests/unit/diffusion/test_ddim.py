"""DDIM and ancestral steps against diffusers' schedulers: same predictions, same noise."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler
from torch import Tensor, nn

from bench.diffusion.denoiser import Denoiser
from bench.diffusion.preconditioning import build
from bench.diffusion.preconditioning.discrete import Discrete
from bench.diffusion.preconditioning.scheme import process_of
from bench.diffusion.samplers import build as build_sampler
from bench.diffusion.sampling import sample

BETAS = {"ddpm": "linear", "ddpm_cosine": "squaredcos_cap_v2"}
PREDICTIONS = {"noise": "epsilon", "x0": "sample", "velocity": "v_prediction"}
SHAPE = (2, 1, 4, 4)


def unit(key: int) -> Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(key), dtype=torch.float64)


class Bent(nn.Module):
    """A network that is not linear, of step and image; the same for the peer and for us."""

    c_noise_range = (0.0, 999.0)

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("float64", torch.zeros((), dtype=torch.float64))

    def forward(self, x: Tensor, c_noise: Tensor, classes: Any) -> Tensor:
        return torch.tanh(x) + 0.3 * torch.sin(3 * x + c_noise.double().view(-1, 1, 1, 1) / 100)


def ours(
    precond: Discrete,
    sampler: str,
    settings: dict[str, float],
    steps: int,
    kind: str,
    clip: bool = False,
) -> Tensor:
    return sample(
        Denoiser(Bent(), precond),
        unit(99),
        precond.own_grid(steps),
        sampler=sampler,
        process=process_of(precond, kind),
        settings=settings,
        step_noise=unit,
        limits=(-1.0, 1.0) if clip else None,
    ).images


def theirs(precond: Discrete, scheduler: Any, steps: int, **given: Any) -> Tensor:
    """The peer's loop. It starts from x = sqrt(abar) (sigma n): we start without a picture."""
    net = Bent()
    # our own table in float64: the peer's is a float32 product of a thousand factors
    scheduler.alphas_cumprod = torch.from_numpy(precond.abar)
    scheduler.set_timesteps(steps)
    x = unit(99) * (1 - scheduler.alphas_cumprod[scheduler.timesteps[0]]).sqrt()
    for i, t in enumerate(scheduler.timesteps):
        clips = {"use_clipped_model_output": scheduler.config.clip_sample}
        step = {**given, **clips, "variance_noise": unit(i)} if given else {}
        if not given:  # DDPM draws by itself; it is made to draw ours
            step = {"generator": i}
        x = scheduler.step(net(x, t.expand(2), None), int(t), x, **step).prev_sample
    return x


@pytest.mark.parametrize("predict", sorted(PREDICTIONS))
@pytest.mark.parametrize("schedule", sorted(BETAS))
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("clip", [False, True])
def test_ddim_is_the_peers(schedule: str, predict: str, eta: float, clip: bool) -> None:
    settings = {"skip": 0} if schedule == "ddpm_cosine" else {}
    precond = build(schedule, predict=predict, **settings)
    assert isinstance(precond, Discrete)
    peer = DDIMScheduler(
        beta_start=1e-4,
        beta_end=0.02,
        beta_schedule=BETAS[schedule],
        prediction_type=PREDICTIONS[predict],
        clip_sample=clip,
        set_alpha_to_one=True,
        timestep_spacing="trailing",
    )
    for steps in (5, 50):
        expected = theirs(precond, peer, steps, eta=eta)
        for kind in ("sigma", "own"):
            drawn = ours(precond, "ddim", {"eta": eta}, steps, kind, clip)
            # the 1e-5; the cosine schedule's first sigma is 20,291 times an estimate
            torch.testing.assert_close(drawn, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("predict", sorted(PREDICTIONS))
@pytest.mark.parametrize("schedule", sorted(BETAS))
@pytest.mark.parametrize("clip", [False, True])
def test_ancestral_steps_are_the_peers(
    schedule: str, predict: str, clip: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"skip": 0} if schedule == "ddpm_cosine" else {}
    precond = build(schedule, predict=predict, **settings)
    assert isinstance(precond, Discrete)
    peer = DDPMScheduler(
        beta_start=1e-4,
        beta_end=0.02,
        beta_schedule=BETAS[schedule],
        prediction_type=PREDICTIONS[predict],
        clip_sample=clip,
        variance_type="fixed_small",
        timestep_spacing="trailing",
    )
    monkeypatch.setattr(
        "diffusers.schedulers.scheduling_ddpm.randn_tensor",
        lambda shape, generator, **where: unit(generator),
    )
    for steps in (5, 50):
        drawn = ours(precond, "ddpm", {}, steps, "own", clip)
        expected = theirs(precond, peer, steps)
        torch.testing.assert_close(drawn, expected, rtol=1e-5, atol=1e-5)  # the issue's


def test_ancestral_is_ddim_with_eta_1() -> None:
    precond = build("fast_ddpm")
    assert isinstance(precond, Discrete)
    full = ours(precond, "ddim", {"eta": 1.0}, 10, "sigma")
    assert torch.equal(full, ours(precond, "ddpm", {}, 10, "sigma"))
    assert not build_sampler("ddim", {}).stochastic
    assert build_sampler("ddim", {"eta": 0.1}).stochastic


def test_fast_ddpm_asks_the_network_for_the_steps_it_trains_on() -> None:
    seen: list[float] = []

    class Spy(Bent):
        def forward(self, x: Tensor, c_noise: Tensor, classes: Any) -> Tensor:
            seen.append(float(c_noise[0]))
            return super().forward(x, c_noise, classes)

    precond = build("fast_ddpm")
    sample(Denoiser(Spy(), precond), unit(0), precond.own_grid(10), sampler="ddim")
    # to the rounding of the float32 that c_noise is given in
    assert seen == pytest.approx([999, 949, 899, 849, 799, 699, 599, 399, 199, 0], abs=1e-4)
