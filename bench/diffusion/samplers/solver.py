"""What a sampler is: it goes from noise to an image, one step at a time.

A solver of the probability-flow ODE, Karras et al. 2022 (arXiv 2206.00364), Algorithm 1, in the
time of whatever process is sampled; or one of the reverse diffusion, which adds noise as it goes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar

from torch import Tensor

from bench.diffusion.process import Process
from bench.errors import BenchError


class Path:
    """The ODE of one sampling run, as its solver sees it: the denoiser in a process's time.

    States x [N, C, *spatial] are float64 and scaled by s(t). `stage` numbers the evaluations
    within a step from 1; a guidance may weigh them apart.
    """

    def __init__(
        self,
        denoise: Callable[[Tensor, float, int], Tensor],
        process: Process,
        noise: Callable[[], Tensor] | None = None,
    ) -> None:
        """`denoise(z, sigma, stage)` gives D(z; sigma) of the unscaled state z, float64; `noise()`
        the unit normal noise of this step, for a stochastic solver."""
        self._denoise, self._process, self._noise = denoise, process, noise

    def sigma(self, t: float) -> float:
        """The noise level at t."""
        return self._process.sigma(t)

    def scale(self, t: float) -> float:
        """s(t): what the state at t is scaled by."""
        return self._process.scale(t)

    def denoise(self, x: Tensor, t: float, *, stage: int = 1) -> Tensor:
        """D(x / s(t); sigma(t)), an unscaled image; one evaluation. sigma(t) must be > 0."""
        return self._denoise(x / self.scale(t), self.sigma(t), stage)

    def noise(self, x: Tensor) -> Tensor:
        """Unit normal noise of this step, of x's shape and dtype: the same however often asked.

        Raises:
            BenchError: the solver has not declared that it draws.
        """
        if self._noise is None:
            raise BenchError("a sampler that asks for noise must declare stochastic = True")
        return self._noise().to(x)

    def slope(self, x: Tensor, t: float, *, times: float = 1.0, stage: int = 1) -> Tensor:
        """`times` dx/dt at (x, t), by `process`'s equation; one evaluation. sigma(t) must be > 0.

        `times` multiplies before sigma divides; a step of length `times` so rounds as
        h (x - D) / sigma does, which keeps samples equal to the bit with earlier boards.
        """
        process, scale = self._process, self.scale(t)
        unscaled = x / scale
        D = self._denoise(unscaled, self.sigma(t), stage)
        pull = times * scale * process.sigma_slope(t)
        drift = times * process.scale_slope(t) / scale
        return drift * x + pull * (unscaled - D) / self.sigma(t)


class Solver(ABC):
    """One sampler. An instance serves one run of one batch and may keep state between its steps.

    Contract. Draws nothing itself: a `stochastic` solver asks `path` for the noise of its step,
    which is keyed by sample, and any other is deterministic. Asks for evaluations through `path`
    alone, never at sigma = 0, and mixes no images of the batch. A step to sigma = 0 is the
    run's last. Made without arguments, or with its `settings`. Arithmetic is float64.
    """

    order: ClassVar[int]
    """Global order of convergence away from the step to 0, of a stochastic solver that of the
    samples' standard deviation; the conformance suite measures it."""
    multistep: ClassVar[bool] = False
    """Whether steps use evaluations of earlier ones. Churn moves the state off the path these were
    made on, so a run with churn is refused; and a path cut in two is not the path in one."""

    settings: ClassVar[Mapping[str, tuple[float, ...]]] = {}
    """What it reads of a run's sampling settings, by the names of SampleConfig: keyword arguments
    with defaults. And values of each that the conformance suite tries."""
    stochastic: bool = False
    """Whether a run draws noise; may depend on the settings."""

    @classmethod
    @abstractmethod
    def nfe(cls, steps: int) -> int:
        """Evaluations in a run of `steps` >= 1 steps, the last of them to sigma = 0."""

    @abstractmethod
    def step(self, path: Path, x: Tensor, t: float, t_next: float) -> Tensor:
        """x [N, C, *spatial] at t, sigma(t) > 0 -> x at t_next < t, where sigma may be 0."""
