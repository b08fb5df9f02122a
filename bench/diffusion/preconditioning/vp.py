"""VP preconditioning: variance-preserving score matching (Song et al. 2021, arXiv 2011.13456).

As restated by Karras et al. 2022, Table 1 (column VP) and Appendix C.1: time t uniform in training
and on the sampling grid, sigma(t) = sqrt(exp(beta_d t^2 / 2 + beta_min t) - 1).
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
class VP(Preconditioning):
    """t ~ U(epsilon_t, 1) in training; the sampling grid ends at epsilon_s; M discrete steps."""

    name: ClassVar[str] = "vp"
    beta_d: float = 19.9
    beta_min: float = 0.1
    M: int = 1000
    epsilon_t: float = 1e-5
    epsilon_s: float = 1e-3
    weighting: str = "authors"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_weighting(self.name, self.weighting)
        self.require(
            self.beta_d > 0 and self.beta_min > 0,
            f"beta_d={self.beta_d} and beta_min={self.beta_min} must be > 0",
        )
        self.require(self.M >= 2, f"M={self.M} must be at least 2")
        for name, value in (("epsilon_t", self.epsilon_t), ("epsilon_s", self.epsilon_s)):
            self.require(0 < value < 1, f"{name}={value} must lie between 0 and 1")

    def sigma(self, t: Array | float) -> Array:
        """sigma(t), float64; expm1 keeps it exact near t = 0."""
        t = np.asarray(t, dtype=np.float64)
        sigma: Array = np.sqrt(np.expm1(self.beta_d * t**2 / 2 + self.beta_min * t))
        return sigma

    def time(self, sigma: Tensor) -> Tensor:
        """t(sigma), the inverse of sigma(t), written without cancellation near 0."""
        log_variance = (sigma**2).log1p()
        root = (self.beta_min**2 + 2 * self.beta_d * log_variance).sqrt()
        return 2 * log_variance / (root + self.beta_min)

    @property
    def sigma_min(self) -> float:
        return float(self.sigma(self.epsilon_t))

    @property
    def sigma_max(self) -> float:
        return float(self.sigma(1.0))

    def coefficients(self, sigma: Tensor) -> Coefficients:
        return Coefficients(
            c_skip=sigma.new_ones(()).expand_as(sigma),
            c_out=-sigma,
            c_in=1 / (sigma**2 + 1).sqrt(),
            c_noise=(self.M - 1) * self.time(sigma),
        )

    def loss_weight(self, sigma: Tensor) -> Tensor:
        return score_weight(sigma, self.sigma_data, self.weighting)

    def sigma_from_uniform(self, u: Array) -> Array:
        return self.sigma(self.epsilon_t + np.asarray(u) * (1 - self.epsilon_t))

    def own_grid(self, n: int) -> Array:
        """t_i = 1 + i/(n-1) (epsilon_s - 1)."""
        require_steps(n)
        return self.sigma(np.linspace(1.0, self.epsilon_s, n))

    def own_process(self) -> Process:
        """sigma(t) of this scheme, s(t) = 1 / sqrt(1 + sigma(t)^2)."""
        return VPProcess(self)

    def c_noise_range(self) -> tuple[float, float]:
        return 0.0, float(self.M - 1)


class VPProcess(Process):
    """sigma(t) = sqrt(exp(L) - 1) and s(t) = 1 / sqrt(1 + sigma^2) = exp(-L/2).

    L(t) = beta_d t^2 / 2 + beta_min t, so s' = -s L' / 2 and sigma' = (1 + sigma^2) L' / (2 sigma).
    """

    def __init__(self, scheme: VP) -> None:
        self._scheme = scheme

    def time(self, sigma: float) -> float:
        beta_d, beta_min, L = self._scheme.beta_d, self._scheme.beta_min, math.log1p(sigma**2)
        return 2 * L / (math.sqrt(beta_min**2 + 2 * beta_d * L) + beta_min)

    def sigma(self, t: float) -> float:
        return float(self._scheme.sigma(t))

    def sigma_slope(self, t: float) -> float:
        sigma = self.sigma(t)
        return (1 + sigma**2) * self._rate(t) / (2 * sigma)

    def scale(self, t: float) -> float:
        return 1 / math.sqrt(1 + self.sigma(t) ** 2)

    def scale_slope(self, t: float) -> float:
        return -self.scale(t) * self._rate(t) / 2

    def _rate(self, t: float) -> float:
        return self._scheme.beta_d * t + self._scheme.beta_min
