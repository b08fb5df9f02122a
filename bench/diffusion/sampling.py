"""Sampling: one loop over a sigma grid for every solver, deterministic or with churn.

Karras et al. 2022 (arXiv 2206.00364), Algorithms 1 and 2. State and steps are float64. Ours: all
noise comes from the caller, keyed by sample index, so a batch's split never changes an image; the
number of network evaluations is counted, not computed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.diffusion import samplers
from bench.errors import BenchError


class DenoiserFn(Protocol):
    """D(x [N, C, *spatial] float64, sigma, cond) -> x0 of the same shape; a Denoiser is one."""

    def __call__(self, x: Tensor, sigma: float, cond: Tensor | None, /) -> Tensor: ...


@dataclass(frozen=True, kw_only=True)
class Churn:
    """Algorithm 2's noise: how much is added, between which sigmas, at what scale."""

    S_churn: float
    S_tmin: float = 0.0
    S_tmax: float = math.inf
    S_noise: float = 1.0

    def __post_init__(self) -> None:
        if not (0 <= self.S_churn < math.inf and 0 <= self.S_noise < math.inf):
            raise BenchError(
                f"churn: S_churn={self.S_churn} and S_noise={self.S_noise} must be finite and >= 0"
            )
        if not 0 <= self.S_tmin <= self.S_tmax:
            raise BenchError(
                f"churn: 0 <= S_tmin <= S_tmax does not hold for {self.S_tmin} and {self.S_tmax}"
            )

    def gamma(self, sigma: float, n: int) -> float:
        """The relative rise of sigma before a step, of n steps."""
        inside = self.S_tmin <= sigma <= self.S_tmax
        return min(self.S_churn / n, math.sqrt(2) - 1) if inside else 0.0


@dataclass(frozen=True)
class Samples:
    """images float64 [N, C, *spatial] in the network's range, not clipped; nfe per image."""

    images: Tensor
    nfe: int


def sample(
    denoiser_fn: DenoiserFn,
    noise: Tensor,
    sigmas: Sequence[float] | NDArray[np.float64],
    *,
    sampler: str = "heun",
    churn: Churn | None = None,
    churn_noise: Callable[[int], Tensor] | None = None,
    cond: Tensor | None = None,
    round_sigma: Callable[[NDArray[np.float64]], NDArray[np.float64]] | None = None,
) -> Samples:
    """Images from unit normal noise [N, C, *spatial] on a descending grid; the final 0 is added.

    `sigmas` as from `grids.sigma_grid`. `churn_noise(step)` gives unit normal noise of noise's
    shape and is asked only at steps that churn; needed if churn is. `round_sigma` (the scheme's)
    keeps a churned sigma on the levels a discrete scheme knows.
    """
    grid = [float(s) for s in sigmas]
    if not grid or grid[-1] <= 0:
        raise BenchError(f"a sampling grid holds at least one sigma, all > 0; got {grid}")
    return integrate(
        denoiser_fn,
        noise.double() * grid[0],
        [*grid, 0.0],
        sampler=sampler,
        churn=churn,
        churn_noise=churn_noise,
        cond=cond,
        round_sigma=round_sigma,
    )


@torch.no_grad()
def integrate(
    denoiser_fn: DenoiserFn,
    x: Tensor,
    sigmas: Sequence[float] | NDArray[np.float64],
    *,
    sampler: str = "heun",
    churn: Churn | None = None,
    churn_noise: Callable[[int], Tensor] | None = None,
    cond: Tensor | None = None,
    round_sigma: Callable[[NDArray[np.float64]], NDArray[np.float64]] | None = None,
) -> Samples:
    """Follow the path from x at sigmas[0] through the grid as given, wherever it ends."""
    grid = [float(s) for s in sigmas]
    if not all(a > b >= 0 for a, b in pairwise(grid)):
        raise BenchError(f"a sampling grid must descend and stay >= 0; got {grid}")
    if churn is not None and churn.S_churn > 0 and churn_noise is None:
        raise BenchError("churn needs churn_noise, a callable from step to unit normal noise")
    step, nfe = samplers.load(sampler), 0

    def denoise(x: Tensor, sigma: float) -> Tensor:
        nonlocal nfe
        nfe += 1
        return denoiser_fn(x, sigma, cond).double()

    x, n = x.double(), len(grid) - 1
    for i, (sigma, sigma_next) in enumerate(pairwise(grid)):
        gamma = churn.gamma(sigma, n) if churn is not None else 0.0
        if churn is not None and churn_noise is not None and gamma > 0:
            sigma_hat = sigma * (1 + gamma)
            if round_sigma is not None:
                sigma_hat = max(sigma, float(round_sigma(np.array(sigma_hat))))
            spread = math.sqrt(sigma_hat**2 - sigma**2) * churn.S_noise
            x, sigma = x + spread * churn_noise(i).to(x), sigma_hat
        x = step(denoise, x, sigma, sigma_next)
    return Samples(x, nfe)
