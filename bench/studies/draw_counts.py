"""How many samples of a batch draw one given noise step of K: the distribution of that count.

Three ways of drawing: each sample on its own; in antithetic pairs (i and K-1-i), a batch of B
being B/2 such pairs; and as Fast-DDPM's published code does, B//2 + 1 draws followed by the
mirror images of the first of them until the batch is full, which leaves two samples (one of an
odd batch) without a mirror. The two of a pair can never both be one given step off the middle:
a pair holds it with probability 2/K, a sample on its own with 1/K.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

Float64 = NDArray[np.float64]


def count_probabilities(pairs: int, singles: int, steps: int) -> Float64:
    """P(count = 0, 1, ... pairs + singles) of one step off the middle, of `steps` steps."""
    of_pairs = binom.pmf(np.arange(pairs + 1), pairs, 2 / steps)
    of_singles = binom.pmf(np.arange(singles + 1), singles, 1 / steps)
    return np.asarray(np.convolve(of_pairs, of_singles), np.float64)


def independent(batch: int, steps: int) -> Float64:
    return count_probabilities(0, batch, steps)


def paired(batch: int, steps: int) -> Float64:
    return count_probabilities(batch // 2, batch % 2, steps)


def published(batch: int, steps: int) -> Float64:
    mirrored = batch - (batch // 2 + 1)
    return count_probabilities(mirrored, batch - 2 * mirrored, steps)


DRAWS: dict[str, Callable[[int, int], Float64]] = {
    "independent": independent,
    "paired": paired,
    "published code": published,
}
