"""The delete-block jackknife: how far other samples would have moved a value, and its bias.

Samples are dealt into at most BLOCKS blocks, the value is taken without each of them, and
Busing et al. 1999 (eq. 7) give error and bias where blocks may differ by one in size. Sound for
values that move smoothly with their samples; for subjects that are left out of the real side see
bench.metrics.leaving_out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Float64 = NDArray[np.float64]
BLOCKS = 20
FEWEST = 10  # samples, below which there is no error


def blocks_of(n: int, most: int = BLOCKS) -> NDArray[np.int64] | None:
    """The block of each of n samples, sample i in block i mod their number, so that each holds
    every class of a cycled condition; None where they are too few for an error."""
    count = min(most, n // 2)
    return None if n < FEWEST or count < 2 else np.arange(n) % count


def error_and_bias(value: float, without: Float64, block: NDArray[np.int64]) -> tuple[float, float]:
    """Standard error and bias of `value`, given the values without each block."""
    blocks, n = len(without), len(block)
    h = n / np.bincount(block, minlength=blocks)
    estimate = blocks * value - float(((1 - 1 / h) * without).sum())
    pseudo = h * value - (h - 1) * without
    variance = float(((pseudo - estimate) ** 2 / (h - 1)).mean())
    return variance**0.5, value - estimate


def paired_error(one: Sequence[float], other: Sequence[float]) -> float:
    """Standard error of the difference of two values, given each without every block; nan where
    their blocks are not the same or fewer than two.

    Both are of the same draws and subjects, so what chance does to both goes out of it. The blocks
    count as of one size, which makes the error a little too large where they are not.
    """
    if len(one) != len(other) or len(one) < 2:
        return math.nan
    return math.sqrt((len(one) - 1) * float(np.subtract(one, other).var()))


def paired_reach(one: Sequence[float], other: Sequence[float], level: float = 0.95) -> float:
    """Half the width of the interval of that difference, by Student's t; nan where unknown."""
    return paired_error(one, other) * float(stats.t.ppf((1 + level) / 2, max(1, len(one) - 1)))
