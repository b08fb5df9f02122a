"""Measured orders of the samplers on a Gaussian whose exact path is known.

`python -m tests.measure.sampler_orders` prints them for every sampler in the table.

For data N(0, s^2), D(x; sigma) = x s^2/(s^2 + sigma^2) and the path is x = c sqrt(s^2 + sigma^2).
EDM's grid (rho = 7, 0.002 to 80) is refined uniformly: 2^k intervals in sigma^(1/rho), so every
grid holds the one before. Two ends: at sigma_min, against the exact path; and after the step to 0,
against that same step taken from the exact path at sigma_min. The step to 0 does not shrink with
the grid: its own error, |sqrt(s^2 + sigma_min^2) D' / s - 1| with D' = s^2/(s^2 + sigma_min^2), is
printed as the floor.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import log2, sqrt

import torch
from torch import Tensor

from bench.diffusion.grids import EDM_SIGMA_MAX, EDM_SIGMA_MIN, edm_grid
from bench.diffusion.samplers import TABLE
from bench.diffusion.sampling import integrate

INTERVALS = (32, 64, 128, 256, 512, 1024)


@dataclass(frozen=True)
class Measured:
    """Relative errors on grids of `intervals`, and the orders between neighbours of them."""

    intervals: tuple[int, ...]
    errors: tuple[float, ...]

    @property
    def orders(self) -> tuple[float, ...]:
        points = list(zip(self.intervals, self.errors, strict=True))
        return tuple(log2(a / b) / log2(n / m) for (m, a), (n, b) in pairwise(points))


def floor(s: float) -> float:
    """Relative error of the step from sigma_min to 0, started on the exact path."""
    return abs(s / sqrt(s**2 + EDM_SIGMA_MIN**2) - 1)


def measure(
    sampler: str, s: float, *, to_zero: bool, intervals: tuple[int, ...] = INTERVALS
) -> Measured:
    """Relative errors of one sampler for data of standard deviation s."""

    def ideal(x: Tensor, sigma: float, cond: Tensor | None = None) -> Tensor:
        return x * (s**2 / (s**2 + sigma**2))

    start = torch.full((1, 1), sqrt(s**2 + EDM_SIGMA_MAX**2), dtype=torch.float64)
    exact = sqrt(s**2 + EDM_SIGMA_MIN**2)
    if to_zero:
        exact *= s**2 / (s**2 + EDM_SIGMA_MIN**2)
    errors = []
    for n in intervals:
        grid = [*edm_grid(n + 1), *([0.0] if to_zero else [])]
        x = integrate(ideal, start, grid, sampler=sampler).images.item()
        errors.append(abs(x / exact - 1))
    return Measured(intervals, tuple(errors))


def main() -> None:
    """Print errors and orders for every sampler, three widths of data, both ends."""
    print("sampler  s     end        " + "".join(f"{n:>10d}" for n in INTERVALS) + "  last order")
    for sampler in sorted(TABLE):
        for s in (0.1, 0.5, 1.0):
            for to_zero in (False, True):
                m = measure(sampler, s, to_zero=to_zero)
                end = "0        " if to_zero else "sigma_min"
                row = "".join(f"{e:>10.2e}" for e in m.errors)
                print(f"{sampler:<8s} {s:<5g} {end}  {row}  {m.orders[-1]:>10.3f}")
    print("floor of the step to 0: " + ", ".join(f"s={s:g} {floor(s):.1e}" for s in (0.1, 0.5, 1)))


if __name__ == "__main__":
    main()
