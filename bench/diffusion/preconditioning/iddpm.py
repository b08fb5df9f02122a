"""iDDPM preconditioning: discrete levels of the cosine schedule (Nichol and Dhariwal 2021).

As restated by Karras et al. 2022, Table 1 (column DDIM/iDDPM) and Appendix C.3: M levels
u_0 > u_1 > ... > u_{M-1}, drawn uniformly in training; a sigma is known by its nearest level.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from bench.diffusion.grids import require_steps
from bench.diffusion.preconditioning.scheme import Array, Coefficients, Preconditioning
from bench.diffusion.process import SIGMA_PROCESS, Process

if TYPE_CHECKING:
    from torch import Tensor


@lru_cache(maxsize=8)
def levels(M: int, C1: float, C2: float) -> Array:
    """u_0 .. u_{M-1}, descending, read-only. u_M = 0 and, going down in j,

    u_{j-1}^2 + 1 = (u_j^2 + 1) / max(abar_{j-1} / abar_j, C1), abar_j = sin^2(pi/2 j/(M (C2+1))).
    The recursion is a product, so it is one cumulative sum of logarithms.
    """
    abar = np.sin(np.pi / 2 * np.arange(M + 1) / (M * (C2 + 1))) ** 2
    ratio = np.maximum(abar[:-1] / abar[1:], C1)  # ratio[j-1] = abar_{j-1} / abar_j
    u: Array = np.sqrt(np.expm1(np.cumsum(-np.log(ratio)[::-1])))[::-1].copy()
    u.flags.writeable = False
    return u


@dataclass(frozen=True, kw_only=True)
class IDDPM(Preconditioning):
    """j ~ U{0..M-1} in training; sampling grids start at level j_0 (u_8 is just above 80)."""

    name: ClassVar[str] = "iddpm"
    M: int = 1000
    C1: float = 0.001
    C2: float = 0.008
    j_0: int = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(self.M >= 2, f"M={self.M} must be at least 2")
        self.require(0 < self.C1 < 1, f"C1={self.C1} must lie between 0 and 1")
        self.require(self.C2 > 0, f"C2={self.C2} must be > 0")
        self.require(0 <= self.j_0 < self.M, f"j_0={self.j_0} must lie in 0..{self.M - 1}")

    @property
    def u(self) -> Array:
        """The levels, float64 [M], descending."""
        return levels(self.M, self.C1, self.C2)

    @property
    def _midpoints(self) -> Array:
        return (self.u[1:] + self.u[:-1]) / 2

    @property
    def level_count(self) -> int:
        return self.M

    @property
    def sigma_min(self) -> float:
        return float(self.u[-1])

    @property
    def sigma_max(self) -> float:
        return float(self.u[0])

    def level(self, sigma: Tensor) -> Tensor:
        """argmin_j |u_j - sigma|, int64, of sigma's shape: how many midpoints lie above sigma."""
        midpoints = sigma.double().new_tensor(self._midpoints)
        return (sigma.double().unsqueeze(-1) < midpoints).sum(-1)

    def coefficients(self, sigma: Tensor) -> Coefficients:
        return Coefficients(
            c_skip=sigma.new_ones(()).expand_as(sigma),
            c_out=-sigma,
            c_in=1 / (sigma**2 + 1).sqrt(),
            c_noise=(self.M - 1 - self.level(sigma)).to(sigma.dtype),
        )

    def loss_weight(self, sigma: Tensor) -> Tensor:
        return 1 / sigma**2

    def sigma_from_uniform(self, u: Array) -> Array:
        j = self.M - 1 - np.floor(np.asarray(u) * self.M).astype(np.int64)
        return self.u[j]

    def own_grid(self, n: int) -> Array:
        """u at floor(j_0 + i (M-1-j_0)/(n-1) + 1/2)."""
        require_steps(n)
        self.require(
            n <= self.M - self.j_0, f"{n} steps asked, {self.M - self.j_0} levels from j_0 on"
        )
        steps = max(n - 1, 1)  # in whole numbers: halves must not depend on rounding
        doubled = 2 * np.arange(n) * (self.M - 1 - self.j_0) + steps
        return self.u[self.j_0 + doubled // (2 * steps)]

    def own_process(self) -> Process:
        """sigma(t) = t, s(t) = 1."""
        return SIGMA_PROCESS

    def c_noise_range(self) -> tuple[float, float]:
        return 0.0, float(self.M - 1)

    def round_sigma(self, sigma: Array) -> Array:
        return self.u[(np.asarray(sigma)[..., None] < self._midpoints).sum(-1)]
