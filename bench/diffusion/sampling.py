"""Sampling: one loop over a sigma grid for every solver, deterministic, stochastic or with churn.

Karras et al. 2022 (arXiv 2206.00364), Algorithms 1 and 2. State and steps are float64. Ours: all
noise comes from the caller, keyed by sample index, so a batch's split never changes an image; the
number of network evaluations is counted, not computed. Under a process of another time or scaling
than sigma's (`process`), churn is Algorithm 2's on the unscaled state: sigma rises to sigma_hat,
noise fills the gap, and the step starts at t(sigma_hat).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.conditions import Condition
from bench.diffusion import samplers
from bench.diffusion.denoiser import DenoiserFn
from bench.diffusion.guidance.guiding import Guidance
from bench.diffusion.guidance.unguided import Unguided
from bench.diffusion.process import SIGMA_PROCESS, Process
from bench.diffusion.samplers.solver import Path, Solver
from bench.errors import BenchError

UNGUIDED = Unguided()


@dataclass(frozen=True, kw_only=True)
class Churn:
    """Algorithm 2's noise: how much is added, between which sigmas, at what scale."""

    S_churn: float
    S_tmin: float = 0.0
    S_tmax: float = math.inf
    S_noise: float = 1.0

    def __post_init__(self) -> None:
        if not (0 <= self.S_churn < math.inf and 0 <= self.S_noise < math.inf):
            raise BenchError(
                f"churn: S_churn={self.S_churn} and S_noise={self.S_noise} must be finite and >= 0"
            )
        if not 0 <= self.S_tmin <= self.S_tmax:
            raise BenchError(
                f"churn: 0 <= S_tmin <= S_tmax does not hold for {self.S_tmin} and {self.S_tmax}"
            )

    def gamma(self, sigma: float, n: int) -> float:
        """The relative rise of sigma before a step, of n steps."""
        inside = self.S_tmin <= sigma <= self.S_tmax
        return min(self.S_churn / n, math.sqrt(2) - 1) if inside else 0.0


@dataclass(frozen=True)
class Samples:
    """images float64 [N, C, *spatial] in the network's range, not clipped.

    nfe is the network evaluations per image: every call of the denoiser, guided or not, and of
    every other network counts one, an ensemble of K networks K.
    """

    images: Tensor
    nfe: int


def sample(
    denoiser_fn: DenoiserFn,
    noise: Tensor,
    sigmas: Sequence[float] | NDArray[np.float64],
    *,
    sampler: str | type[Solver] = "heun",
    process: Process = SIGMA_PROCESS,
    churn: Churn | None = None,
    churn_noise: Callable[[int], Tensor] | None = None,
    settings: Mapping[str, float] | None = None,
    step_noise: Callable[[int], Tensor] | None = None,
    cond: Condition | None = None,
    guidance: Guidance = UNGUIDED,
    networks: Mapping[str, Callable[..., Tensor]] | None = None,
    round_sigma: Callable[[NDArray[np.float64]], NDArray[np.float64]] | None = None,
    limits: tuple[float, float] | None = None,
) -> Samples:
    """Images from unit normal noise [N, C, *spatial] on a descending grid; the final 0 is added.

    `sigmas` as from `grids.sigma_grid`, `process` as from `scheme.process_of`. `churn_noise(step)`
    gives unit normal noise of noise's shape and is asked only at steps that churn; needed if churn
    is. `settings` are those the sampler reads; `step_noise(step)` is a stochastic sampler's noise,
    as churn_noise. `cond` is of the N cases. `networks` are those that `guidance` needs beside the
    denoiser. `round_sigma` (the scheme's) keeps a churned sigma on the levels a discrete scheme
    knows. `limits`: what every guided estimate D is clipped to; None: nothing.

    Raises:
        BenchError: an unknown sampler, a grid, churn, condition or guidance that does not fit.
    """
    grid = [float(s) for s in sigmas]
    if not grid or grid[-1] <= 0:
        raise BenchError(f"a sampling grid holds at least one sigma, all > 0; got {grid}")
    return integrate(
        denoiser_fn,
        noise.double() * grid[0],
        [*grid, 0.0],
        sampler=sampler,
        process=process,
        churn=churn,
        churn_noise=churn_noise,
        settings=settings,
        step_noise=step_noise,
        cond=cond,
        guidance=guidance,
        networks=networks,
        round_sigma=round_sigma,
        limits=limits,
    )


@torch.no_grad()
def integrate(
    denoiser_fn: DenoiserFn,
    x: Tensor,
    sigmas: Sequence[float] | NDArray[np.float64],
    *,
    sampler: str | type[Solver] = "heun",
    process: Process = SIGMA_PROCESS,
    churn: Churn | None = None,
    churn_noise: Callable[[int], Tensor] | None = None,
    settings: Mapping[str, float] | None = None,
    step_noise: Callable[[int], Tensor] | None = None,
    cond: Condition | None = None,
    guidance: Guidance = UNGUIDED,
    networks: Mapping[str, Callable[..., Tensor]] | None = None,
    round_sigma: Callable[[NDArray[np.float64]], NDArray[np.float64]] | None = None,
    limits: tuple[float, float] | None = None,
) -> Samples:
    """Follow the path from x at sigmas[0] through the grid as given, wherever it ends.

    x and the result are unscaled, y + sigma n, whatever the process scales its state by. `sampler`
    is a name or a class that is not in the table yet.
    """
    grid = [float(s) for s in sigmas]
    if not grid or not all(a > b >= 0 for a, b in pairwise(grid)):
        raise BenchError(
            f"a sampling grid must descend, stay >= 0 and hold at least one sigma; got {grid}"
        )
    solver = samplers.build(sampler, settings or {})
    if solver.stochastic and step_noise is None:
        raise BenchError(
            f"sampler {sampler!r} draws noise; give step_noise, a callable from step to unit "
            "normal noise"
        )
    if churn is not None and churn.S_churn > 0:
        if solver.multistep:
            raise BenchError(
                f"sampler {sampler!r} builds on its earlier steps, which churn would leave behind; "
                "set S_churn=0, or take a one-step sampler such as heun"
            )
        if churn_noise is None:
            raise BenchError("churn needs churn_noise, a callable from step to unit normal noise")
    evaluation = _Evaluation(denoiser_fn, cond, guidance, networks or {}, limits)

    t = process.time(grid[0])
    x, n = process.scale(t) * x.double(), len(grid) - 1
    for i, (sigma, sigma_next) in enumerate(pairwise(grid)):
        t, t_next = process.time(sigma), process.time(sigma_next)
        gamma = churn.gamma(sigma, n) if churn is not None else 0.0
        if churn is not None and churn_noise is not None and gamma > 0:
            sigma_hat = sigma * (1 + gamma)
            if round_sigma is not None:
                sigma_hat = max(sigma, float(round_sigma(np.array(sigma_hat))))
            spread = math.sqrt(sigma_hat**2 - sigma**2) * churn.S_noise
            unscaled = x / process.scale(t) + spread * churn_noise(i).to(x)
            t = process.time(sigma_hat)
            x = process.scale(t) * unscaled
        draw = partial(step_noise, i) if step_noise is not None and solver.stochastic else None
        x, t = solver.step(Path(evaluation, process, draw), x, t, t_next), t_next
    return Samples(x / process.scale(t), evaluation.count)


def nfe(
    sigmas: Sequence[float] | NDArray[np.float64],
    *,
    sampler: str = "heun",
    guidance: Guidance = UNGUIDED,
) -> int:
    """What `sample` on this grid would count per image, with one network: run on one number.

    A guidance that acts on part of the sigmas makes the count depend on the grid; churn may move
    single evaluations across its ends, so the count of a churned run is the run's own.
    """

    def stand_in(x: Tensor, sigma: float, cond: Condition | None) -> Tensor:
        return 0 * x

    return sample(
        stand_in,
        torch.zeros(1, 1),
        sigmas,
        sampler=sampler,
        step_noise=lambda step: torch.zeros(1, 1),
        cond=Condition(classes=torch.zeros(1, dtype=torch.int64)),
        guidance=guidance,
        networks=guidance.stand_ins(),
    ).nfe


class _Evaluation:
    """D(x; sigma) of one run: the condition bound, guided, clipped if asked, in float64; counts
    evaluations."""

    def __init__(
        self,
        denoiser_fn: DenoiserFn,
        cond: Condition | None,
        guidance: Guidance,
        networks: Mapping[str, Callable[..., Tensor]],
        limits: tuple[float, float] | None,
    ) -> None:
        missing = [name for name in guidance.needs if name not in networks]
        if missing:
            raise BenchError(
                f"guidance {guidance.name!r} needs a network {missing[0]!r}; give it in networks"
            )
        self.count, self._limits = 0, limits
        self._cond, self._guidance = cond, guidance
        self._denoise = self._counted(denoiser_fn)
        self._others = {name: self._counted(networks[name]) for name in guidance.needs}

    def __call__(self, x: Tensor, sigma: float, stage: int) -> Tensor:
        estimate = self._guidance.estimate(
            self._denoise, x, sigma, self._cond, stage=stage, others=self._others
        ).double()
        return estimate if self._limits is None else estimate.clamp(*self._limits)

    def _counted(self, network: Callable[..., Tensor]) -> Callable[..., Tensor]:
        evaluations: int = getattr(network, "evaluations", 1)

        def call(*inputs: Any) -> Tensor:
            self.count += evaluations
            return network(*inputs).double()

        return call
