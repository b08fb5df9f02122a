"""What every sampler must show before it is used: the table's own and a user's alike.

All checks run on data N(0, s^2), s = 0.5, whose exact denoiser D = x s^2 / (s^2 + sigma^2) and path
x = c sqrt(s^2 + sigma^2) are known, by the loop of `bench.diffusion.sampling`, with every
combination of the settings that a sampler reads.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.conditions import Condition
from bench.diffusion.denoiser import DenoiserFn
from bench.diffusion.grids import EDM_SIGMA_MAX, EDM_SIGMA_MIN, edm_grid
from bench.diffusion.preconditioning.vp import VP
from bench.diffusion.process import SIGMA_PROCESS, Process
from bench.diffusion.samplers.solver import Path, Solver
from bench.diffusion.sampling import Churn, Samples, integrate, sample
from bench.suite import require, run

SIGMA_DATA = 0.5
ORDER_SLACK = 0.1  # the table's samplers are within .04 of their order at these intervals
INTERVALS = (128, 256)
PROCESSES: dict[str, Process] = {"sigma": SIGMA_PROCESS, "own": VP().own_process()}


def check(part: Any, name: str) -> int:
    """The number of checks that a Solver class passed; BenchError naming the rule it breaks."""
    return run("sampler", name, part, CHECKS)


def is_a_solver(part: Any) -> None:
    """A complete subclass of Solver, with an order, made without arguments."""
    require(
        isinstance(part, type) and issubclass(part, Solver),
        "it must be a subclass of bench.diffusion.samplers.solver.Solver",
    )
    require(isinstance(getattr(part, "order", None), int), "it must declare `order`, whole")
    require(part.order >= 1, f"order={part.order} must be at least 1")
    part()
    for settings in variants(part):
        part(**settings)


def counts_its_evaluations(solver: type[Solver]) -> None:
    """`nfe` is what a run asks for, the step to 0 included, and never at sigma = 0."""
    for steps, settings in product((1, 2, 7, 18), variants(solver)):
        denoiser = _Counting()
        counted = _sampled(denoiser, _noise(2), edm_grid(steps), solver, settings).nfe
        require(
            counted == solver.nfe(steps),
            f"nfe({steps}) says {solver.nfe(steps)}, a run evaluates {counted} times",
        )
        require(min(denoiser.sigmas) > 0, "the denoiser is asked at sigma = 0, where D is x")


def keeps_float64(solver: type[Solver]) -> None:
    """States stay float64 and keep their shape, 2D or 3D, whatever the network answers in."""
    for shape, settings in product(((2, 1, 4, 6), (2, 3, 2, 4, 3)), variants(solver)):
        denoiser = _Counting()
        noise = torch.ones(shape, dtype=torch.float32)
        images = _sampled(denoiser, noise, edm_grid(5), solver, settings).images
        require(images.shape == shape, f"images {shape} became {tuple(images.shape)}")
        dtypes = {images.dtype, *denoiser.dtypes}
        require(dtypes == {torch.float64}, f"states must be float64, seen {dtypes}")


def converges_with_its_order(solver: type[Solver]) -> None:
    """Relative errors at sigma_min fall with the declared order, in sigma's time and in VP's: of
    the path, or of a stochastic sampler's standard deviation."""
    for (kind, process), settings in product(PROCESSES.items(), variants(solver)):
        errors = [spread_error(solver, settings, process, n) for n in INTERVALS]
        measured = math.log2(errors[0] / errors[1])
        require(
            measured >= solver.order - ORDER_SLACK,
            f"declared order {solver.order}, measured {measured:.2f} with process {kind!r} "
            f"(relative errors {errors[0]:.1e} and {errors[1]:.1e} in {INTERVALS} steps)",
        )


def lands_on_the_estimate(solver: type[Solver]) -> None:
    """A denoiser that always answers the same image ends in that image."""
    target = _noise(2, key=1)
    for settings in variants(solver):
        drawn = _sampled(lambda x, sigma, cond: target, _noise(2), edm_grid(10), solver, settings)
        gap = float((drawn.images - target).abs().max())
        # What is left of x at sigma_min = 0.002 in the step to 0 is float64 rounding.
        require(gap < 1e-12, f"an image that the denoiser keeps is missed by {gap:.1e}")


def draws_what_it_declares(solver: type[Solver]) -> None:
    """A stochastic sampler asks for noise and heeds it; any other is given none."""
    for settings in variants(solver):
        declared = solver(**settings).stochastic
        start = _noise(2) * EDM_SIGMA_MAX
        runs = [
            _integrated(start, edm_grid(6), solver, settings, steps_before=before)
            for before in (0, 10, 0)  # steps of an earlier part: other noise
        ]
        heeded = not torch.equal(runs[0], runs[1])
        require(torch.equal(runs[0], runs[2]), "the same noise gives another sample")
        require(heeded == declared, f"stochastic is {declared}, other noise changes: {heeded}")


def keeps_images_apart(solver: type[Solver]) -> None:
    """Splitting a batch changes no image, with churn where the sampler takes it."""
    for settings in variants(solver):
        whole = _drawn(solver, settings, range(4))
        split = [_drawn(solver, settings, rows) for rows in (range(1), range(1, 4))]
        require(torch.equal(whole, torch.cat(split)), "splitting a batch changes its images")


def starts_afresh(solver: type[Solver]) -> None:
    """A second run of an equal start is equal to the bit: state lives in the instance alone."""
    for settings in variants(solver):
        _drawn(solver, settings, range(3))
        first, second = (_drawn(solver, settings, range(2)) for _ in range(2))
        require(torch.equal(first, second), "a second run differs: state must live in the instance")


def leaves_the_world_alone(solver: type[Solver]) -> None:
    """torch's generator is not drawn from; the state that came in is not written to."""
    before, state = torch.get_rng_state(), _noise(2) * EDM_SIGMA_MAX
    for settings in variants(solver):
        kept, noise, drawn = state.clone(), _noise(2, key=1), _noise(2, key=1)
        _integrated(state, edm_grid(4), solver, settings)
        require(
            torch.equal(torch.get_rng_state(), before), "it draws from torch's global generator"
        )
        one = solver(**settings)
        draw = partial(torch.Tensor.view_as, noise, noise) if one.stochastic else None
        path, x = Path(lambda z, sigma, stage: z / (1 + sigma), SIGMA_PROCESS, draw), state.clone()
        one.step(path, x, 2.0, 1.0)
        untouched = torch.equal(x, kept) and torch.equal(noise, drawn)
        require(untouched, "it changes the state or the noise it is given in place")


def can_be_cut(solver: type[Solver]) -> None:
    """A one-step sampler's path, cut in two, is the path to the bit."""
    if solver.multistep:
        return
    grid, start = edm_grid(9), _noise(2) * EDM_SIGMA_MAX
    for settings in variants(solver):
        whole = _integrated(start, grid, solver, settings)
        first = _integrated(start, grid[:5], solver, settings)
        second = _integrated(first, grid[4:], solver, settings, steps_before=4)
        require(
            torch.equal(whole, second),
            "a path cut in two differs: a sampler with memory must declare multistep = True",
        )


CHECKS: dict[str, Callable[[Any], None]] = {
    "is a solver": is_a_solver,
    "counts its evaluations": counts_its_evaluations,
    "keeps float64": keeps_float64,
    "converges with its order": converges_with_its_order,
    "lands on the estimate": lands_on_the_estimate,
    "draws what it declares": draws_what_it_declares,
    "keeps images apart": keeps_images_apart,
    "starts afresh": starts_afresh,
    "leaves the world alone": leaves_the_world_alone,
    "can be cut": can_be_cut,
}


class _Counting:
    """The denoiser of N(0, s^2) that answers in float32, as networks do, and keeps the calls."""

    def __init__(self) -> None:
        self.sigmas: list[float] = []
        self.dtypes: set[torch.dtype] = set()

    def __call__(self, x: Tensor, sigma: float, cond: Condition | None) -> Tensor:
        self.sigmas.append(sigma)
        self.dtypes.add(x.dtype)
        return _exact(x, sigma, cond).float()


def _exact(x: Tensor, sigma: float, cond: Condition | None) -> Tensor:
    return x * (SIGMA_DATA**2 / (SIGMA_DATA**2 + sigma**2))


def _noise(n: int, key: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(key)
    return torch.randn(n, 1, 3, 3, generator=generator, dtype=torch.float64)


def variants(solver: type[Solver]) -> list[dict[str, float]]:
    """Every combination of the values that a sampler names for its settings; {} without any."""
    names = list(solver.settings)
    return [dict(zip(names, values, strict=True)) for values in product(*solver.settings.values())]


def spread_error(
    solver: type[Solver], settings: Mapping[str, float], process: Process, intervals: int
) -> float:
    """The relative error of the standard deviation of samples at sigma_min, without drawing any.

    The exact denoiser is linear, so a sample is a sum over what it started from and the noise of
    each step, and its variance is the sum of the squared responses to one of each alone: one
    "pixel" for the start, one for each step. Without noise it is the error of the path.
    """
    start = torch.zeros(1, intervals + 1, dtype=torch.float64)
    start[0, 0] = math.hypot(SIGMA_DATA, EDM_SIGMA_MAX)
    end = integrate(
        _exact,
        start,
        edm_grid(intervals + 1),
        sampler=solver,
        process=process,
        settings=settings,
        step_noise=lambda step: torch.eye(intervals + 1)[step + 1 : step + 2],
    ).images
    return abs(float(end.norm()) / math.hypot(SIGMA_DATA, EDM_SIGMA_MIN) - 1)


def _sampled(
    denoiser: DenoiserFn,
    noise: Tensor,
    grid: NDArray[np.float64],
    solver: type[Solver],
    settings: Mapping[str, float],
) -> Samples:
    return sample(
        denoiser,
        noise,
        grid,
        sampler=solver,
        settings=settings,
        step_noise=lambda step: torch.full_like(noise, 0.1 * step),
    )


def _integrated(
    start: Tensor,
    grid: NDArray[np.float64],
    solver: type[Solver],
    settings: Mapping[str, float],
    steps_before: int = 0,
) -> Tensor:
    return integrate(
        _Counting(),
        start,
        grid,
        sampler=solver,
        settings=settings,
        step_noise=lambda step: _noise(2, key=100 + step + steps_before),
    ).images


def _drawn(solver: type[Solver], settings: Mapping[str, float], rows: range) -> Tensor:
    """Images whose start, churn and step noise are keyed by row."""

    def keyed(step: int) -> Tensor:
        return torch.cat([_noise(1, key=1000 * step + row) for row in rows])

    churn = None if solver.multistep else Churn(S_churn=4)
    return sample(
        _Counting(),
        keyed(99),
        edm_grid(8),
        sampler=solver,
        churn=churn,
        churn_noise=keyed,
        settings=settings,
        step_noise=lambda step: keyed(50 + step),
    ).images
