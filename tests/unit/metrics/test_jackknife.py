"""The error of a difference, of two values that are taken on the same draws."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench.metrics.jackknife import paired_error

GROUPS, EACH = 20, 30


def _without(values: np.ndarray) -> list[float]:
    return [float(np.delete(values, k, axis=0).mean()) for k in range(GROUPS)]


def test_the_error_of_means_is_that_of_the_mean_of_differences() -> None:
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(GROUPS, EACH))  # what chance does to both
    one = shared + 0.1 * rng.normal(size=shared.shape)
    other = shared + 0.1 * rng.normal(size=shared.shape)
    of_groups = (one - other).mean(1)
    right = of_groups.std(ddof=1) / math.sqrt(GROUPS)
    assert paired_error(_without(one), _without(other)) == pytest.approx(right, rel=1e-9)
    alone = paired_error(_without(one), [0.0] * GROUPS)
    assert right < 0.3 * alone  # what is shared goes out of the difference


@pytest.mark.parametrize(("one", "other"), [([], []), ([1.0], [2.0]), ([1.0, 2.0], [1.0])])
def test_of_other_or_too_few_blocks_it_is_unknown(one: list[float], other: list[float]) -> None:
    assert math.isnan(paired_error(one, other))
