"""Every sampler against the exact path of a Gaussian: measured order, also with the step to 0."""

from __future__ import annotations

import math

import pytest

from bench.diffusion import samplers
from tests.measure.sampler_orders import EXACT, floor, measure, processes

PROCESSES = processes()


@pytest.mark.parametrize("to_zero", [False, True])
@pytest.mark.parametrize("s", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("sampler", sorted(samplers.SAMPLERS.table))
def test_measured_order_in_sigma(sampler: str, s: float, to_zero: bool) -> None:
    measured = measure(sampler, s, to_zero=to_zero, intervals=(64, 128, 256, 512))
    # The next term of the error is 1/n of the first: the estimates come from below 1 and above 2
    # by 0.02 to 0.08 at 64 intervals and halve with each refinement (printed by the module).
    assert measured.orders[-1] == pytest.approx(samplers.load(sampler).order, abs=0.021)
    assert measured.orders[0] == pytest.approx(samplers.load(sampler).order, abs=0.08)


@pytest.mark.parametrize("s", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("name", sorted(set(PROCESSES) - {"sigma"}))
@pytest.mark.parametrize("sampler", sorted(samplers.SAMPLERS.table))
def test_measured_order_in_a_schemes_own_time(sampler: str, name: str, s: float) -> None:
    measured = measure(sampler, s, process=PROCESSES[name], intervals=(256, 512, 1024))
    if max(measured.errors) < EXACT:  # x = s(t) z is constant where s^2 (1 + sigma^2) = 1
        process = PROCESSES[name]
        t = process.time(2.0)
        assert (process.scale(t) ** 2 * 5, s) == (pytest.approx(1), 1.0)
        return
    # VE's time, sigma^2, is the coarsest on EDM's grid: 0.02 from its order at the end.
    assert measured.orders[-1] == pytest.approx(samplers.load(sampler).order, abs=0.03)


def test_the_step_to_zero_is_second_order_in_sigma_min() -> None:
    # s / sqrt(s^2 + sigma^2) = 1 - sigma^2 / (2 s^2) + O(sigma^4 / s^4), here sigma = 0.002.
    assert floor(0.5) == pytest.approx(0.002**2 / (2 * 0.5**2), rel=1e-4)
    assert math.isclose(floor(0.1) / floor(1.0), 100, rel_tol=1e-3)
