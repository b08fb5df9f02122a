"""The interval of a difference: against the spread of many repetitions, and by hand."""

from __future__ import annotations

import numpy as np
import pytest

from bench.tune.comparing import gain
from bench.tune.judge import Measured
from leaderboards.measures import Measure

FD = Measure(key="fd", title="fd", direction="lower")
PSNR = Measure(key="psnr", title="psnr", direction="higher", scale="difference", unit="dB")


def of_means(values: np.ndarray, blocks: int = 20) -> Measured:
    """A score that is the mean of its draws, with its values without each block of them."""
    block = np.arange(len(values)) % blocks
    draws = [float(values[block != b].mean()) for b in range(blocks)]
    return Measured(count=len(values), value=float(values.mean()), draws=draws)


def test_interval_covers_a_paired_ratio() -> None:
    """Two scores whose draws share their chance: the truth is inside in 95 % of 400 tries, give or
    take three standard errors (0.033)."""
    rng, inside, widths = np.random.default_rng(0), 0, []
    for _ in range(400):
        shared = rng.normal(10, 2, 120)
        one, two = shared * 0.8 + rng.normal(0, 0.5, 120), shared + rng.normal(0, 0.5, 120)
        found = gain(FD, of_means(one), of_means(two))
        assert found is not None
        assert found.relative
        inside += found.low <= 0.2 <= found.high
        widths.append(found.high - found.low)
    assert inside / 400 == pytest.approx(0.95, abs=0.033)
    assert np.mean(widths) < 0.05  # unpaired it would be .09


def test_higher_is_better_by_difference_over_groups_of_cases() -> None:
    better = Measured(count=40, value=31.0, se=1.0, left_out={"cases": [31.0, 31.1, 30.9, 31.0]})
    worse = Measured(count=40, value=30.0, se=1.0, left_out={"cases": [30.0, 30.1, 29.9, 30.0]})
    found = gain(PSNR, better, worse)
    assert found is not None
    assert (found.value, found.relative) == (1.0, False)
    assert found.high - found.low < 1e-9  # the same chance hit both: their own errors play no part
    assert found.text("dB").startswith("+1 dB (95%: +1 to +1)")


def test_without_paired_values_the_two_errors_add_up() -> None:
    one, two = Measured(count=9, value=8.0, se=0.8), Measured(count=9, value=10.0, se=1.0)
    found = gain(FD, one, two)
    assert found is not None
    assert found.value == pytest.approx(0.2)
    reach = 1.959964 * (0.1**2 + 0.1**2) ** 0.5
    assert found.low == pytest.approx(1 - 0.8 * np.exp(reach))
    assert gain(FD, Measured(count=9, value=8.0), Measured(count=9, value=10.0)) is None
    assert gain(FD, Measured(count=9, value=None), two) is None
