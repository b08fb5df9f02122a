"""DDIM and ancestral DDPM: from one level to the next through the estimate, with or without noise.

Song, Meng and Ermon 2021 (arXiv 2010.02502), Eq. 12 and 16, with abar = 1 / (1 + sigma^2):

    x' = sqrt(abar') D + sqrt(1 - abar' - up^2) (x - sqrt(abar) D) / sqrt(1 - abar) + up n,
    up = eta sqrt((1 - abar') / (1 - abar)) sqrt(1 - abar / abar').

Divided by sqrt(abar') the schedule is gone, and what is left holds for every preconditioning:

    z' = D + sqrt(sigma'^2 - up^2) (z - D) / sigma + up n,
    up = eta sigma' sqrt(1 - sigma'^2 / sigma^2).

eta = 0 is deterministic; eta = 1 is the ancestral step of Ho et al. 2020 (arXiv 2006.11239), Eq. 6
and 7, with the posterior's variance. The step to 0 gives D and draws nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor

from bench.diffusion.samplers.solver import Path, Solver


class DDIM(Solver):
    """One evaluation a step; noise in every step but the last where eta > 0."""

    order = 1
    settings: ClassVar[Mapping[str, tuple[float, ...]]] = {"eta": (0.0, 0.5, 1.0)}

    def __init__(self, *, eta: float = 0.0) -> None:
        self.eta = eta
        self.stochastic = eta > 0

    @classmethod
    def nfe(cls, steps: int) -> int:
        return steps

    def step(self, path: Path, x: Tensor, t: float, t_next: float) -> Tensor:
        sigma, sigma_next = path.sigma(t), path.sigma(t_next)
        D = path.denoise(x, t)
        up = self.eta * sigma_next * math.sqrt(1 - (sigma_next / sigma) ** 2)
        down = math.sqrt(sigma_next**2 - up**2)
        z = D + down * (x / path.scale(t) - D) / sigma
        if up > 0:
            z = z + up * path.noise(x)
        return path.scale(t_next) * z


class DDPM(DDIM):
    """Ancestral sampling: DDIM with eta = 1, which is not to be chosen here."""

    settings: ClassVar[Mapping[str, tuple[float, ...]]] = {}

    def __init__(self) -> None:
        super().__init__(eta=1.0)
