"""The process a sampler integrates: which time it steps in, and how the state is scaled.

Karras et al. 2022 (arXiv 2206.00364), Eq. 2 to 4: the state at time t is x = s(t) (y + sigma(t) n),
and the probability-flow ODE is dx/dt = (s'/s) x - s^2 sigma' sigma grad log p(x / s; sigma). With
grad log p(z; sigma) = (D(z; sigma) - z) / sigma^2 and z = x / s it reads

    dx/dt = (s'/s) x + s sigma' (z - D(z; sigma)) / sigma,

which is line 4 of Algorithm 1 and what `samplers.solver.Path.slope` computes. Every choice of
sigma(t) and s(t) has the same exact solution in z; a solver of few steps tells them apart. A
scheme's own process stands in the scheme's file.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal, get_args

ProcessKind = Literal["sigma", "own"]
PROCESS_KINDS: tuple[str, ...] = get_args(ProcessKind)


class Process(ABC):
    """sigma(t), s(t) and their derivatives. Immutable, float64 in and out, safe to share.

    sigma(t) rises with t and `time` is its inverse; sigma(time(0)) = 0, where the derivatives are
    never asked for. s(t) > 0 and s(time(0)) = 1, so that a finished sample is an image as it is.
    """

    @abstractmethod
    def time(self, sigma: float) -> float:
        """t(sigma), the inverse of sigma(t), for sigma >= 0."""

    @abstractmethod
    def sigma(self, t: float) -> float:
        """sigma(t)."""

    @abstractmethod
    def sigma_slope(self, t: float) -> float:
        """d sigma / dt at sigma(t) > 0."""

    def scale(self, t: float) -> float:
        """s(t)."""
        return 1.0

    def scale_slope(self, t: float) -> float:
        """ds / dt at sigma(t) > 0."""
        return 0.0


class SigmaProcess(Process):
    """sigma itself is time and nothing is scaled: EDM's choice, and the default for all schemes."""

    def time(self, sigma: float) -> float:
        return sigma

    def sigma(self, t: float) -> float:
        return t

    def sigma_slope(self, t: float) -> float:
        return 1.0


SIGMA_PROCESS = SigmaProcess()
