"""Heun's method on the probability-flow ODE dx/dsigma = (x - D(x; sigma)) / sigma.

Karras et al. 2022 (arXiv 2206.00364), Algorithm 1; order 2. The step to 0, where the slope is
undefined, is Euler's.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

NFE_PER_STEP = 2  # 1 in the step to 0


def step(
    denoise: Callable[[Tensor, float], Tensor], x: Tensor, sigma: float, sigma_next: float
) -> Tensor:
    """x [N, C, *spatial] float64 at sigma > 0 -> x at sigma_next >= 0."""
    slope = (x - denoise(x, sigma)) / sigma
    x_next = x + (sigma_next - sigma) * slope
    if sigma_next == 0:
        return x_next
    slope_next = (x_next - denoise(x_next, sigma_next)) / sigma_next
    return x + (sigma_next - sigma) * (slope + slope_next) / 2
