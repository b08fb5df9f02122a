"""DPM-Solver++(2M): a linear multistep solver in the logarithm of the noise level.

Lu et al. 2022 (arXiv 2211.01095), Algorithm 2, with alpha = s and their sigma = s * ours. Divided
by alpha it is a recursion in the unscaled state z = x / s with lambda = -ln sigma,

    z' = (sigma'/sigma) z + (1 - sigma'/sigma) (D + h / (2 h_last) (D - D_last)),

h = lambda' - lambda: the same numbers whatever the scaling and the time of the process. The first
step, which has no D_last, and the one to sigma = 0, where h is infinite, take D alone; order 2.
"""

from __future__ import annotations

import math

from torch import Tensor

from bench.diffusion.samplers.solver import Path, Solver


class DPMSolverPP2M(Solver):
    """One evaluation a step; keeps the last estimate and the sigma it was made at."""

    order = 2
    multistep = True

    def __init__(self) -> None:
        self._last: tuple[Tensor, float] | None = None

    @classmethod
    def nfe(cls, steps: int) -> int:
        return steps

    def step(self, path: Path, x: Tensor, t: float, t_next: float) -> Tensor:
        sigma, sigma_next = path.sigma(t), path.sigma(t_next)
        D = path.denoise(x, t)
        estimate = D
        if self._last is not None and sigma_next > 0:
            D_last, sigma_last = self._last
            h, h_last = math.log(sigma / sigma_next), math.log(sigma_last / sigma)
            estimate = D + h / (2 * h_last) * (D - D_last)
        self._last = D, sigma
        share = sigma_next / sigma
        return path.scale(t_next) * (share * (x / path.scale(t)) + (1 - share) * estimate)
