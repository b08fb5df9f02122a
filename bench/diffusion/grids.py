"""Sampling grids: n noise levels from the largest to the smallest, float64, without the final 0.

Karras et al. 2022 (arXiv 2206.00364), Eq. 5. Ours: grids are kept to the range a scheme trains on
and to the levels it knows, and a grid with repeated levels is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError, unknown

if TYPE_CHECKING:
    from bench.diffusion.preconditioning.scheme import Preconditioning

GridKind = Literal["edm", "own"]
GRID_KINDS: tuple[str, ...] = get_args(GridKind)
EDM_SIGMA_MIN = 0.002
EDM_SIGMA_MAX = 80.0
EDM_RHO = 7.0


def require_steps(n: int) -> None:
    """BenchError unless a grid of n levels makes sense."""
    if n < 1:
        raise BenchError(f"a sampling grid needs at least 1 step, got {n}")


def edm_grid(
    n: int,
    sigma_min: float = EDM_SIGMA_MIN,
    sigma_max: float = EDM_SIGMA_MAX,
    rho: float = EDM_RHO,
) -> NDArray[np.float64]:
    """Eq. 5 without its last 0: uniform in sigma^(1/rho) from sigma_max down to sigma_min."""
    require_steps(n)
    if not 0 < sigma_min < sigma_max or rho <= 0:
        raise BenchError(
            f"a sigma grid needs 0 < sigma_min < sigma_max and rho > 0, "
            f"got {sigma_min}, {sigma_max} and {rho}"
        )
    grid: NDArray[np.float64] = (
        np.linspace(sigma_max ** (1 / rho), sigma_min ** (1 / rho), n, dtype=np.float64) ** rho
    )
    grid[0] = sigma_max
    if n > 1:
        grid[-1] = sigma_min
    return grid


def sigma_grid(
    precond: Preconditioning, n: int, kind: str = "edm", rho: float = EDM_RHO
) -> NDArray[np.float64]:
    """The grid of n steps for one scheme: its `own`, or EDM's for all alike (`edm`).

    EDM's runs over [0.002, 80], cut to [sigma_min, sigma_max] of the scheme; `rho` is read by it
    alone. Levels are rounded to those the scheme knows; BenchError if two become one.
    """
    if kind == "edm":
        low, high = max(EDM_SIGMA_MIN, precond.sigma_min), min(EDM_SIGMA_MAX, precond.sigma_max)
        grid = edm_grid(n, low, high, rho)
    elif kind == "own":
        grid = precond.own_grid(n)
    else:
        raise unknown("sigma grid", kind, GRID_KINDS)
    grid = precond.round_sigma(grid)
    if n > 1 and not np.all(np.diff(grid) < 0):
        raise BenchError(
            f"{n} steps are too many for preconditioning {precond.name!r} on its {kind} grid: "
            f"only {len(np.unique(grid))} different levels; use fewer steps"
            + (", or its own grid (grid=own)" if kind == "edm" else "")
        )
    return grid
