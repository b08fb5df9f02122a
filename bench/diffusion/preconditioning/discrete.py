"""Schemes of T discrete steps, as DDPM defines them, seen in our sigma: what all of them share.

Ho et al. 2020 (arXiv 2006.11239): x_j = sqrt(abar_j) y + sqrt(1 - abar_j) n with
abar_j = prod_{i<=j} (1 - beta_i), j = 0 .. T-1. Divided by sqrt(abar_j) that is y + sigma_j n with

    sigma_j = sqrt((1 - abar_j) / abar_j),    sqrt(abar_j) = 1 / sqrt(1 + sigma_j^2),

so that the network, which gets c_in x = x_j and the step j, is one more preconditioning. What it
predicts is a choice: the noise n, the picture y, or the velocity sqrt(abar) n - sqrt(1 - abar) y of
Salimans and Ho 2022 (arXiv 2202.00512). The loss is the plain squared error of that target, so
lambda = 1 / c_out^2. Ours: a sigma is known by its nearest level, and a scheme may use a part of
the T steps alone (Fast-DDPM): it then trains on these and samples on these.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.diffusion.grids import require_steps
from bench.diffusion.preconditioning.scheme import Array, Coefficients, Preconditioning
from bench.diffusion.process import Process
from bench.errors import unknown

if TYPE_CHECKING:
    from torch import Tensor

PREDICTIONS = ("noise", "x0", "velocity")
Steps = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Discrete(Preconditioning):
    """A table of T noise levels; j is drawn uniformly in training. A subclass gives its betas."""

    T: int = 1000
    predict: str = "noise"
    antithetic: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(self.T >= 2, f"T={self.T} must be at least 2")
        if self.predict not in PREDICTIONS:
            what = f"value of predict in preconditioning {self.name!r}:"
            raise unknown(what, self.predict, PREDICTIONS)
        betas = self.betas()
        self.require(
            bool(((betas > 0) & (betas < 1)).all()),
            f"its betas must lie between 0 and 1, they run from {betas.min():g} to {betas.max():g}",
        )

    @abstractmethod
    def betas(self) -> Array:
        """beta_0 .. beta_{T-1}, float64."""

    def steps_used(self) -> Steps:
        """The steps that are trained on, ascending, from 0 to T-1: all, unless overridden."""
        return np.arange(self.T)

    @cached_property
    def abar(self) -> Array:
        """abar_0 .. abar_{T-1}, float64 [T], falling."""
        return np.exp(self._log_abar)

    @cached_property
    def _log_abar(self) -> Array:
        return np.cumsum(np.log1p(-self.betas()))

    @cached_property
    def _steps(self) -> Steps:
        return self.steps_used()

    @cached_property
    def levels(self) -> Array:
        """sigma of the steps used, float64, ascending, read-only; expm1 keeps small ones exact."""
        sigma: Array = np.sqrt(np.expm1(-self._log_abar[self._steps]))
        sigma.flags.writeable = False
        return sigma

    @cached_property
    def _midpoints(self) -> Array:
        return (self.levels[1:] + self.levels[:-1]) / 2

    @property
    def level_count(self) -> int:
        return len(self.levels)

    @property
    def sigma_min(self) -> float:
        return float(self.levels[0])

    @property
    def sigma_max(self) -> float:
        return float(self.levels[-1])

    def step(self, sigma: Tensor) -> Tensor:
        """j of the nearest level, int64, of sigma's shape: how many midpoints lie below sigma."""
        midpoints = sigma.double().new_tensor(self._midpoints)
        place = (sigma.double().unsqueeze(-1) > midpoints).sum(-1)
        return place.new_tensor(self._steps)[place]

    def coefficients(self, sigma: Tensor) -> Coefficients:
        abar = 1 / (1 + sigma**2)
        one = sigma.new_ones(()).expand_as(sigma)
        c_skip, c_out = {
            "noise": (one, -sigma),
            "x0": (0 * one, one),
            "velocity": (abar, -sigma * abar.sqrt()),
        }[self.predict]
        return Coefficients(
            c_skip=c_skip,
            c_out=c_out,
            c_in=abar.sqrt(),
            c_noise=self.step(sigma).to(sigma.dtype),
        )

    def loss_weight(self, sigma: Tensor) -> Tensor:
        return self.coefficients(sigma).c_out ** -2

    def sigma_from_uniform(self, u: Array) -> Array:
        place = np.floor(np.asarray(u) * self.level_count).astype(np.int64)
        return self.levels[place]

    def own_grid(self, n: int) -> Array:
        """n of the levels, evenly spaced in their order, the largest among them (DDIM's subset).

        place_i = round((n - i) K / n) - 1, i = 0 .. n-1, of K levels: all of them for n = K. The
        smallest is left out for n < K: of two levels near 0, it would be the one that does least.
        """
        require_steps(n)
        count = self.level_count - self.left_out
        self.require(n <= count, f"{n} steps asked, it samples on {count} levels; {self.remedy(n)}")
        doubled = 2 * np.arange(n, 0, -1) * count + n  # whole numbers: halves are rounded up
        return self.levels[doubled // (2 * n) - 1]

    left_out = 0  # of the largest levels: how many the own grid does not go up to

    def remedy(self, n: int) -> str:
        """What to do where n steps are too many for the own grid."""
        return "use fewer steps"

    def own_process(self) -> Process:
        """The angle: sigma(t) = tan(t), s(t) = cos(t), which is sqrt(abar)."""
        return AngleProcess()

    def c_noise_range(self) -> tuple[float, float]:
        return 0.0, float(self.T - 1)

    def round_sigma(self, sigma: Array) -> Array:
        return self.levels[(np.asarray(sigma)[..., None] > self._midpoints).sum(-1)]


class AngleProcess(Process):
    """The state keeps its variance where the data's is 1: x = cos(t) y + sin(t) n.

    Salimans and Ho 2022 (arXiv 2202.00512), Appendix D: dx/dt is then the velocity.
    """

    def time(self, sigma: float) -> float:
        return math.atan(sigma)

    def sigma(self, t: float) -> float:
        return math.tan(t)

    def sigma_slope(self, t: float) -> float:
        return 1 / math.cos(t) ** 2

    def scale(self, t: float) -> float:
        return math.cos(t)

    def scale_slope(self, t: float) -> float:
        return -math.sin(t)
