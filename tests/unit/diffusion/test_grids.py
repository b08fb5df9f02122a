"""Sampling grids: Eq. 5 by a slow loop, each scheme's own by its time steps, refusals."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench.diffusion.grids import edm_grid, sigma_grid
from bench.diffusion.preconditioning import build
from bench.errors import BenchError


@pytest.mark.parametrize("n", [2, 18, 256])
def test_edm_grid_is_equation_5(n: int) -> None:
    a, b = 80 ** (1 / 7), 0.002 ** (1 / 7)
    slow = [(a + i / (n - 1) * (b - a)) ** 7 for i in range(n)]
    np.testing.assert_allclose(edm_grid(n), slow, rtol=1e-12)  # float64 powers
    assert edm_grid(n)[0] == 80.0
    assert edm_grid(n)[-1] == 0.002


def test_grids_of_one_rho_refine_each_other() -> None:
    np.testing.assert_allclose(edm_grid(17)[::2], edm_grid(9), rtol=1e-12)


def test_own_grids() -> None:
    ve, vp = build("ve").own_grid(11), build("vp").own_grid(11)
    # Table 1 gives VE's t = sigma^2 as sigma_max^2 (sigma_min^2 / sigma_max^2)^(i/(N-1)).
    slow = [math.sqrt(100**2 * (0.02**2 / 100**2) ** (i / 10)) for i in range(11)]
    np.testing.assert_allclose(ve, slow, rtol=1e-12)
    times = [1 + i / 10 * (1e-3 - 1) for i in range(11)]
    slow = [math.sqrt(math.exp(0.5 * 19.9 * t * t + 0.1 * t) - 1) for t in times]
    np.testing.assert_allclose(vp, slow, rtol=1e-11)  # exp(x) - 1 of the slow loop cancels
    np.testing.assert_array_equal(build("edm").own_grid(11), edm_grid(11))


@pytest.mark.parametrize(
    ("scheme", "ends"),
    [
        ("edm", (80.0, 0.002)),
        ("vp", (80.0, 0.002)),
        ("ve", (80.0, 0.02)),
        ("iddpm", (80.2, 0.0064)),
    ],
)
def test_edm_grid_is_cut_to_what_the_scheme_knows(scheme: str, ends: tuple[float, float]) -> None:
    grid = sigma_grid(build(scheme), 18)
    assert (grid[0], grid[-1]) == pytest.approx(ends, rel=5e-3)  # iDDPM's nearest levels
    wide = sigma_grid(build(scheme), 18, rho=3.0)
    assert wide[9] > grid[9]  # a smaller rho spends fewer steps near 0


def test_levels_that_become_one_are_refused() -> None:
    with pytest.raises(BenchError, match=r"100 steps are too many for .*'iddpm' .* only \d+ diff"):
        sigma_grid(build("iddpm"), 100)


def test_bad_grids() -> None:
    with pytest.raises(BenchError, match=r"unknown sigma grid 'emd'; did you mean 'edm'\?"):
        sigma_grid(build("edm"), 18, "emd")
    for scheme in ("edm", "vp", "ve", "iddpm"):
        with pytest.raises(BenchError, match="at least 1 step, got 0"):
            sigma_grid(build(scheme), 0, "own")
    with pytest.raises(BenchError, match="rho > 0"):
        edm_grid(5, rho=0.0)
