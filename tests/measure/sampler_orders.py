"""Measured orders of the samplers on a Gaussian whose exact path is known.

`python -m tests.measure.sampler_orders` prints them for every sampler in the table, in sigma and in
the time of every scheme's own process.

For data N(0, s^2), D(x; sigma) = x s^2/(s^2 + sigma^2) and the path is x = c sqrt(s^2 + sigma^2).
Of a stochastic sampler it is the standard deviation of samples that has an order: the root of the
sum of squares of the linear responses to the start and to each step's noise.
EDM's grid (rho = 7, 0.002 to 80) is refined uniformly: 2^k intervals in sigma^(1/rho), so every
grid holds the one before. Two ends: at sigma_min, against the exact path; and after the step to 0,
against that same step taken from the exact path at sigma_min. The step to 0 does not shrink with
the grid: its own error in sigma, |sqrt(s^2 + sigma_min^2) D' / s - 1| with
D' = s^2/(s^2 + sigma_min^2), is printed as the floor.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import hypot, log2

import torch
from torch import Tensor

from bench.conditions import Condition
from bench.diffusion.grids import EDM_SIGMA_MAX, EDM_SIGMA_MIN, edm_grid
from bench.diffusion.preconditioning import PRECONDITIONINGS, build
from bench.diffusion.process import SIGMA_PROCESS, Process
from bench.diffusion.samplers import SAMPLERS
from bench.diffusion.sampling import integrate

INTERVALS = (32, 64, 128, 256, 512, 1024)
EXACT = 1e-14  # float64 rounding: VP's state does not move at all on data of unit variance


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
    """Relative error of the step in sigma from sigma_min to 0, started on the exact path."""
    return abs(s / hypot(s, EDM_SIGMA_MIN) - 1)


def measure(
    sampler: str,
    s: float,
    *,
    to_zero: bool = False,
    process: Process = SIGMA_PROCESS,
    intervals: tuple[int, ...] = INTERVALS,
) -> Measured:
    """Relative errors of one sampler for data of standard deviation s."""

    def ideal(x: Tensor, sigma: float, cond: Condition | None) -> Tensor:
        return x * (s**2 / (s**2 + sigma**2))

    def end(start: float, sigmas: list[float]) -> float:
        # the response to the start, then to the noise of each step of a stochastic sampler
        x = torch.zeros(1, len(sigmas), dtype=torch.float64)
        x[0, 0] = start
        noise = torch.eye(len(sigmas)).roll(1, 1)
        drawn = integrate(
            ideal,
            x,
            sigmas,
            sampler=sampler,
            process=process,
            step_noise=lambda i: noise[i : i + 1],
        )
        return float(drawn.images.norm())

    exact = hypot(s, EDM_SIGMA_MIN)
    if to_zero:
        exact = end(exact, [EDM_SIGMA_MIN, 0.0])
    last = [0.0] if to_zero else []
    ends = [end(hypot(s, EDM_SIGMA_MAX), [*edm_grid(n + 1).tolist(), *last]) for n in intervals]
    return Measured(intervals, tuple(abs(x / exact - 1) for x in ends))


def processes() -> dict[str, Process]:
    """sigma's, and the own one of every scheme."""
    schemes = {f"{name}'s own": build(name).own_process() for name in PRECONDITIONINGS.table}
    return {"sigma": SIGMA_PROCESS, **schemes}


def main() -> None:
    """Print errors and orders for every sampler and process, three widths of data, both ends."""
    columns = "".join(f"{n:>10d}" for n in INTERVALS)
    print(f"sampler   process      s     end        {columns}  last order")
    for sampler in sorted(SAMPLERS.table):
        for name, process in processes().items():
            for s in (0.1, 0.5, 1.0):
                for to_zero in (False, True):
                    measured = measure(sampler, s, to_zero=to_zero, process=process)
                    end = "0        " if to_zero else "sigma_min"
                    row = "".join(f"{error:>10.2e}" for error in measured.errors)
                    exact = max(measured.errors) < EXACT
                    order = "     exact" if exact else f"{measured.orders[-1]:>10.3f}"
                    print(f"{sampler:<9s} {name:<12s} {s:<5g} {end}  {row}  {order}")
    print("floor of the step to 0: " + ", ".join(f"s={s:g} {floor(s):.1e}" for s in (0.1, 0.5, 1)))


if __name__ == "__main__":
    main()
