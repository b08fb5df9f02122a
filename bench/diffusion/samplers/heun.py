"""Heun's method on the probability-flow ODE.

Karras et al. 2022 (arXiv 2206.00364), Algorithm 1; order 2. The step to sigma = 0, where the slope
is undefined, is Euler's.
"""

from __future__ import annotations

from torch import Tensor

from bench.diffusion.samplers.solver import Path, Solver


class Heun(Solver):
    """Two evaluations a step, stages 1 and 2; one in the step to 0."""

    order = 2

    @classmethod
    def nfe(cls, steps: int) -> int:
        return 2 * steps - 1

    def step(self, path: Path, x: Tensor, t: float, t_next: float) -> Tensor:
        slope = path.slope(x, t)
        x_next = x + (t_next - t) * slope
        if path.sigma(t_next) == 0:
            return x_next
        slope_next = path.slope(x_next, t_next, stage=2)
        return x + (t_next - t) * (slope + slope_next) / 2
