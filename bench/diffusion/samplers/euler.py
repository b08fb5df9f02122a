"""Euler's method on the probability-flow ODE.

Karras et al. 2022 (arXiv 2206.00364), Algorithm 1 without its correction; order 1. In the time of
sigma it is DDIM.
"""

from __future__ import annotations

from torch import Tensor

from bench.diffusion.samplers.solver import Path, Solver


class Euler(Solver):
    """One evaluation a step, also in the step to 0."""

    order = 1

    @classmethod
    def nfe(cls, steps: int) -> int:
        return steps

    def step(self, path: Path, x: Tensor, t: float, t_next: float) -> Tensor:
        return x + path.slope(x, t, times=t_next - t)
