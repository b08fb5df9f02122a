"""EDM preconditioning: unit variance of network input and target at every sigma.

Karras et al. 2022, Table 1, last column, and Appendix B.6; training noise is log-normal.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from scipy.special import ndtri

from bench.diffusion.grids import edm_grid
from bench.diffusion.preconditioning.scheme import Array, Coefficients, Preconditioning
from bench.diffusion.process import SIGMA_PROCESS, Process

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class EDM(Preconditioning):
    """ln sigma ~ N(P_mean, P_std^2); own grid: rho = 7 from sigma_max to sigma_min."""

    name: ClassVar[str] = "edm"
    P_mean: float = -1.2
    P_std: float = 1.2
    sigma_min: float = 0.002
    sigma_max: float = 80.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(self.P_std > 0, f"P_std={self.P_std} must be > 0")
        self.require(
            0 < self.sigma_min < self.sigma_max,
            f"0 < sigma_min < sigma_max does not hold for {self.sigma_min} and {self.sigma_max}",
        )

    def coefficients(self, sigma: Tensor) -> Coefficients:
        total = (sigma**2 + self.sigma_data**2).sqrt()
        return Coefficients(
            c_skip=self.sigma_data**2 / total**2,
            c_out=sigma * self.sigma_data / total,
            c_in=1 / total,
            c_noise=sigma.log() / 4,
        )

    def loss_weight(self, sigma: Tensor) -> Tensor:
        return (sigma**2 + self.sigma_data**2) / (sigma * self.sigma_data) ** 2

    def sigma_from_uniform(self, u: Array) -> Array:
        # A uniform is a multiple of 2^-53; 0 stands for [0, 2^-53), so take that cell's middle.
        z = ndtri(np.maximum(u, 2.0**-54))
        sigma: Array = np.exp(self.P_mean + self.P_std * z)
        return sigma

    def own_grid(self, n: int) -> Array:
        return edm_grid(n, self.sigma_min, self.sigma_max)

    def own_process(self) -> Process:
        """sigma(t) = t, s(t) = 1."""
        return SIGMA_PROCESS

    def c_noise_range(self) -> tuple[float, float]:
        return math.log(self.sigma_min) / 4, math.log(self.sigma_max) / 4
