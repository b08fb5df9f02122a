"""DDPM's two schedules of beta: linear (Ho et al. 2020) and cosine (Nichol and Dhariwal 2021).

Linear, arXiv 2006.11239, section 4: beta from 1e-4 to 0.02 in T = 1000 steps, up to sigma = 157.
Cosine, arXiv 2102.09672, Eq. 17: abar(t) = cos^2((t/T + s) / (1 + s) pi/2), beta clipped at .999.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from bench.diffusion.preconditioning.discrete import Discrete
from bench.diffusion.preconditioning.scheme import Array


@dataclass(frozen=True, kw_only=True)
class DDPM(Discrete):
    """beta_j evenly spaced from beta_start to beta_end."""

    name: ClassVar[str] = "ddpm"
    beta_start: float = 1e-4
    beta_end: float = 0.02

    def betas(self) -> Array:
        return np.linspace(self.beta_start, self.beta_end, self.T)


@dataclass(frozen=True, kw_only=True)
class CosineDDPM(Discrete):
    """beta_j = min(1 - abar(j+1) / abar(j), beta_max).

    Its last step has sigma = 20,291, where an estimate made from the predicted noise is off by
    20,291 times the network's error: trained on, like every step, but the own grid starts `skip`
    levels below, with 8 just above sigma = 80, as Karras et al. 2022 do (their j_0).
    """

    name: ClassVar[str] = "ddpm_cosine"
    s: float = 0.008
    beta_max: float = 0.999
    skip: int = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(self.s > 0, f"s={self.s} must be > 0")
        self.require(0 <= self.skip < self.T, f"skip={self.skip} must lie in 0..{self.T - 1}")

    def betas(self) -> Array:
        abar = np.cos((np.arange(self.T + 1) / self.T + self.s) / (1 + self.s) * np.pi / 2) ** 2
        return np.minimum(1 - abar[1:] / abar[:-1], self.beta_max)

    @property
    def left_out(self) -> int:  # type: ignore[override]  # a number of the base, here a setting
        return self.skip
