"""Euler's method on the probability-flow ODE dx/dsigma = (x - D(x; sigma)) / sigma.

Karras et al. 2022 (arXiv 2206.00364), Eq. 3 with sigma(t) = t; order 1.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

NFE_PER_STEP = 1  # also the step to 0


def step(
    denoise: Callable[[Tensor, float], Tensor], x: Tensor, sigma: float, sigma_next: float
) -> Tensor:
    """x [N, C, *spatial] float64 at sigma > 0 -> x at sigma_next >= 0."""
    return x + (sigma_next - sigma) * (x - denoise(x, sigma)) / sigma
