"""VE preconditioning: variance-exploding score matching (Song et al. 2021, arXiv 2011.13456).

As restated by Karras et al. 2022, Table 1 (column VE): sigma log-uniform in training, and a
geometric sampling grid.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from bench.diffusion.grids import require_steps
from bench.diffusion.preconditioning.scheme import (
    Array,
    Coefficients,
    Preconditioning,
    require_weighting,
    score_weight,
)
from bench.diffusion.process import Process

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class VE(Preconditioning):
    """ln sigma ~ U(ln sigma_min, ln sigma_max); c_noise = ln(sigma / 2)."""

    name: ClassVar[str] = "ve"
    sigma_min: float = 0.02
    sigma_max: float = 100.0
    weighting: str = "authors"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_weighting(self.name, self.weighting)
        self.require(
            0 < self.sigma_min < self.sigma_max,
            f"0 < sigma_min < sigma_max does not hold for {self.sigma_min} and {self.sigma_max}",
        )

    def coefficients(self, sigma: Tensor) -> Coefficients:
        one = sigma.new_ones(()).expand_as(sigma)
        return Coefficients(c_skip=one, c_out=sigma, c_in=one, c_noise=(sigma / 2).log())

    def loss_weight(self, sigma: Tensor) -> Tensor:
        return score_weight(sigma, self.sigma_data, self.weighting)

    def sigma_from_uniform(self, u: Array) -> Array:
        sigma: Array = self.sigma_min * (self.sigma_max / self.sigma_min) ** np.asarray(u)
        return sigma

    def own_grid(self, n: int) -> Array:
        """sigma_i = sigma_max (sigma_min / sigma_max)^(i/(n-1)): the square root of Table 1's t."""
        require_steps(n)
        grid: Array = self.sigma_max * (self.sigma_min / self.sigma_max) ** np.linspace(0, 1, n)
        return grid

    def own_process(self) -> Process:
        """sigma(t) = sqrt(t), s(t) = 1."""
        return VEProcess()

    def c_noise_range(self) -> tuple[float, float]:
        return math.log(self.sigma_min / 2), math.log(self.sigma_max / 2)


class VEProcess(Process):
    """The variance is time: sigma(t) = sqrt(t), s(t) = 1."""

    def time(self, sigma: float) -> float:
        return sigma**2

    def sigma(self, t: float) -> float:
        return math.sqrt(t)

    def sigma_slope(self, t: float) -> float:
        return 0.5 / math.sqrt(t)
