"""The diffusion method: a preconditioned backbone, its loss, and a predictor that samples.

Predictions are drawn from keyed streams: number i of a purpose starts from the noise of
(seed, purpose, i); what churn or a stochastic sampler adds comes from streams of its own, a step
and a number each, whatever the batch it is drawn in.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from backbones.inputs import Inputs
from bench.conditions import Condition
from bench.config import SampleConfig, TaskConfig, TrialConfig
from bench.diffusion import guidance, preconditioning, sampling
from bench.diffusion.denoiser import Denoiser, loss
from bench.diffusion.ensemble import Ensemble
from bench.diffusion.grids import sigma_grid
from bench.diffusion.preconditioning.scheme import Preconditioning, process_of
from bench.methods.method import Method, build_network
from bench.methods.tiling import tiled
from bench.predictions import Cases, Denoise, Predictions, conditions_of, in_batches
from bench.streams import mirrored, normal, spread_out, uniform
from bench.train.objective import Batch, Terms

NAMED = ("sampler", "steps", "grid", "ema")  # in every protocol
STATES = 6  # float64 pictures that a step of a solver holds at once


class Diffusion(Method):
    """Network, noise and loss of one trial; see Method for the contract."""

    preconditioned: ClassVar[bool] = True
    gives: ClassVar[frozenset[str]] = frozenset({"denoise"})

    def __init__(self, config: TrialConfig) -> None:
        super().__init__(config)
        self.precond = _preconditioning(config)
        method, task = config.method, config.task
        net = build_network(method, self.inputs(task), self.device)
        self.net = net
        self.denoiser = Denoiser(net, self.precond)

    @classmethod
    def inputs(cls, task: TaskConfig) -> Inputs:
        return task.inputs

    @classmethod
    def passes(cls, config: TrialConfig) -> int:
        sample = config.sample
        return sampling.nfe(
            _sigmas(_preconditioning(config), sample),
            sampler=sample.sampler,
            guidance=guidance.build(sample.guidance, **sample.guidance_args),
        )

    @classmethod
    def protocol(cls, config: TrialConfig) -> dict[str, Any]:
        """How it samples, and the network evaluations of that: the same for all of a verdict. A
        setting that is left at its default is not named."""
        settings, usual = dataclasses.asdict(config.sample), dataclasses.asdict(SampleConfig())
        named = {k: v for k, v in settings.items() if k in NAMED or v != usual[k]}
        return {**{k: v for k, v in named.items() if k != "batch_size"}, "nfe": cls.passes(config)}

    @classmethod
    def state_bytes(cls, inputs: Inputs) -> int:
        return inputs.channels * inputs.pixels * 8 * STATES

    def terms(self, batch: Batch, samples: Sequence[int], seed: int) -> Terms:
        u = self._sigma_uniforms(samples, seed)
        sigma = torch.as_tensor(self.precond.sigma_from_uniform(u), dtype=torch.float32)
        noise = torch.from_numpy(normal(seed, "noise", samples, tuple(batch.target.shape[1:])))
        out = loss(
            self.denoiser,
            batch.target.to(self.device),
            sigma.to(self.device),
            noise.to(self.device),
            batch.condition.to(self.device),
        )
        return Terms(loss=out.weighted, sigma=sigma, sq_error=out.sq_error)

    def _sigma_uniforms(self, samples: Sequence[int], seed: int) -> NDArray[np.float64]:
        """What the noise levels of these samples are drawn with: spread over their batch, except
        where levels are discrete and the scheme says how they are drawn."""
        if self.precond.level_count is None:
            return spread_out(seed, "sigma", samples, self.config.train.batch_size)
        draw = mirrored if self.precond.antithetic else uniform
        return draw(seed, "sigma", samples)

    def predictor(self, nets: Sequence[nn.Module], seed: int, sample: SampleConfig) -> Sampling:
        return Sampling(self.config, nets, self.precond, seed, sample)


class Sampling:
    """A Predictor that draws from, and denoises with, fixed sets of weights.

    networks: what the guidance of `sample` needs beside them, by name; whoever has them sets them.
    """

    def __init__(
        self,
        config: TrialConfig,
        nets: Sequence[nn.Module],
        precond: Preconditioning,
        seed: int,
        sample: SampleConfig,
    ) -> None:
        self.config, self.precond, self.seed, self.sample = config, precond, seed, sample
        self.nets = tuple(nets)
        self.networks: Mapping[str, Callable[..., Tensor]] = {}
        self.device = torch.device(config.train.device)
        each = [Denoiser(net, precond) for net in tiled(self.nets, sample.tile)]
        self.denoiser: Callable[..., Tensor] = each[0] if len(each) == 1 else Ensemble(each)
        self.denoise: Denoise | None = self._denoise
        self.data_range = config.task.data_range  # of the answers

    @torch.no_grad()
    def _denoise(self, x: Tensor, sigma: Tensor, condition: Condition) -> Tensor:
        """D(x; sigma) for x float32 N C *spatial."""
        device = self.device
        result: Tensor = self.denoiser(x.to(device), sigma.to(device), condition.to(device))
        return result.cpu()

    def predict(self, cases: Cases) -> Predictions:
        return self.predict_some(cases, range(cases.count))

    @torch.no_grad()
    def predict_some(self, cases: Cases, places: range) -> Predictions:
        sample, inputs = self.sample, self.config.task.answered
        shape = (inputs.channels, *inputs.spatial)
        sigmas = _sigmas(self.precond, sample)
        guiding = guidance.build(sample.guidance, **sample.guidance_args)
        churn = sampling.Churn(
            S_churn=sample.S_churn,
            S_tmin=sample.S_tmin,
            S_tmax=sample.S_tmax,
            S_noise=sample.S_noise,
        )
        passes = 0

        def answer(numbers: Sequence[int]) -> Tensor:
            nonlocal passes
            drawn = sampling.sample(
                self.denoiser,
                self._normal(cases.purpose, numbers, shape),
                sigmas,
                sampler=sample.sampler,
                process=process_of(self.precond, sample.process),
                churn=churn if sample.S_churn > 0 else None,
                churn_noise=self._noise(f"{cases.purpose}/churn", numbers, shape),
                settings=sample.solver_settings,
                step_noise=self._noise(f"{cases.purpose}/step", numbers, shape),
                cond=conditions_of(cases, numbers).to(self.device),
                guidance=guiding,
                networks=self.networks,
                round_sigma=self.precond.round_sigma,
                limits=self.data_range if sample.clip else None,
            )
            passes = drawn.nfe
            return self.finished(drawn.images)

        return in_batches(
            cases,
            places,
            sample.batch_size,
            answer,
            self.data_range,
            lambda: passes,
        )

    def finished(self, states: Tensor) -> Tensor:
        """The answers, of what the sampler arrived at."""
        return states

    def way(self, cases: Cases, places: range, moments: int) -> list[Predictions]:
        """States on the way, every one scaled to the spread of the data, so that its noise is seen
        beside what is there already; the answers last."""
        whole_sample = self.sample
        each = max(whole_sample.batch_size // cases.samples, 1)  # cases that are one batch
        self.sample = replace(whole_sample, batch_size=each * cases.samples)
        try:
            batches = [places[k : k + each] for k in range(0, len(places), each)]
            ways = [self._way(cases, batch, moments) for batch in batches]
        finally:
            self.sample = whole_sample
        return [Predictions.joined(at_once) for at_once in zip(*ways, strict=True)]

    def _way(self, cases: Cases, places: range, moments: int) -> list[Predictions]:
        """The way of one batch."""
        watched = _Watched(self.denoiser)
        whole, self.denoiser = self.denoiser, watched
        try:
            answers = self.predict_some(cases, places)
        finally:
            self.denoiser = whole
        states = list(watched.states.items())
        shown = np.unique(np.linspace(0, len(states) - 1, max(moments - 1, 1)).round().astype(int))
        spread = self.config.task.sigma_data
        on_the_way = [
            replace(
                answers,
                values=cases.keep(self.finished(x * (spread / np.hypot(sigma, spread)))),
            )
            for sigma, x in (states[k] for k in shown)
        ]
        return [*on_the_way, answers]

    def _noise(
        self, purpose: str, numbers: Sequence[int], shape: tuple[int, ...]
    ) -> Callable[[int], Tensor]:
        return lambda step: self._normal(f"{purpose}{step}", numbers, shape)

    def _normal(self, purpose: str, numbers: Sequence[int], shape: tuple[int, ...]) -> Tensor:
        noise = torch.from_numpy(normal(self.seed, purpose, numbers, shape))
        return noise.double().to(self.device)


class _Watched:
    """A denoiser that remembers what it was asked first at each noise level."""

    def __init__(self, denoiser: Callable[..., Tensor]) -> None:
        self.denoiser = denoiser
        self.evaluations: int = getattr(denoiser, "evaluations", 1)
        self.states: dict[float, Tensor] = {}

    def __call__(self, x: Tensor, sigma: Any, cond: Condition | None = None) -> Tensor:
        self.states.setdefault(float(sigma), x.detach().cpu())
        return self.denoiser(x, sigma, cond)


def _preconditioning(config: TrialConfig) -> Preconditioning:
    """The scheme of a trial, with the data's sigma_data."""
    method = config.method
    return preconditioning.build(
        method.preconditioning, sigma_data=config.task.sigma_data, **method.preconditioning_args
    )


def _sigmas(precond: Preconditioning, sample: SampleConfig) -> NDArray[np.float64]:
    """The noise levels that predictions go through."""
    return sigma_grid(precond, sample.steps, kind=sample.grid, rho=sample.rho)
