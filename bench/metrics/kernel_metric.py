"""The kernel distance of predicted pictures to real ones: `kd_<extractor>`, lower is better.

The squared maximum mean discrepancy with the cubic kernel k(x, y) = (x.y / D + 1)^3, which is the
KID of Binkowski et al. 2018 (arXiv 1801.01401) on any extractor's features, as the full unbiased
U-statistic: it may be negative near the floor, so two values are compared by their difference. The
standard error is a delete-block jackknife over the predicted pictures; the spread over subsets
that others report is none.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.metrics.feature_metric import FeatureMetric
from bench.metrics.jackknife import BLOCKS, Float64, blocks_of, error_and_bias
from bench.metrics.metric import Estimates, Evidence
from bench.metrics.real import RealData
from leaderboards.measures import Measure

ROWS = 1024  # of a kernel matrix in memory at a time


class KernelMetric(FeatureMetric):
    """See FeatureMetric for the settings; the features are those of the Fréchet distance."""

    @property
    def measures(self) -> tuple[Measure, ...]:
        key = self.extractor.key("kd")
        return (Measure(key=key, title=key, direction="lower", scale="difference", drop=12),)

    def prepare(self, real: RealData, part_counts: Mapping[str, int]) -> None:
        super().prepare(real, part_counts)
        for part in ("select", "report"):
            real.features(self.extractor_name, part, self.settings["n_reference"])

    def estimate(self, evidence: Evidence) -> Estimates:
        real_features = evidence.real.features(
            self.extractor_name, evidence.part, self.settings["n_reference"]
        )
        value, error = kernel_distance(real_features, self.features(evidence))
        key = self.measures[0].key
        return {key: value} if error is None else {key: value, f"{key}_se": error}

    def seconds(self, shape: tuple[int, ...]) -> float:
        return 0.0  # the features are there; what is left is a product of small matrices


def kernel_distance(
    real: Float64, predicted: Float64, *, blocks: int = BLOCKS
) -> tuple[float, float | None]:
    """(unbiased MMD^2, its standard error) of features [n, D] and [m, D], n, m >= 2.

    The error is that of drawing other predictions; None with fewer than 10 of them. Kernels are
    summed a stretch of rows at a time, by block, so that no n x m matrix stands in memory.
    """
    if min(len(real), len(predicted)) < 2 or real.shape[1] != predicted.shape[1]:
        raise BenchError(
            f"a kernel distance needs two sets of features [n >= 2, D], not {real.shape} and "
            f"{predicted.shape}"
        )
    n, m = len(real), len(predicted)
    given = blocks_of(m, blocks)
    block = np.zeros(m, np.int64) if given is None else given
    one = np.zeros(n, np.int64)
    real_term = float(_sums(real, one, real, one)[0, 0] - _diagonal(real).sum()) / (n * (n - 1))
    within = _sums(predicted, block, predicted, block)  # [blocks, blocks]
    diagonal = np.bincount(block, weights=_diagonal(predicted))
    across = _sums(predicted, block, real, one)[:, 0]
    sizes = np.bincount(block)

    def distance(kernels: float, to_real: float, count: int) -> float:
        return real_term + kernels / (count * (count - 1)) - 2 * to_real / (count * n)

    value = distance(float(within.sum() - diagonal.sum()), float(across.sum()), m)
    if given is None:
        return value, None
    rest = within.sum() - 2 * within.sum(1) + np.diag(within) - (diagonal.sum() - diagonal)
    to_real = across.sum() - across
    without = np.array([distance(*of) for of in zip(rest, to_real, m - sizes, strict=True)])
    return value, error_and_bias(value, without, block)[0]


def _sums(
    x: Float64, block_x: NDArray[np.int64], y: Float64, block_y: NDArray[np.int64]
) -> Float64:
    """Sums of k(x_i, y_j) over the pairs of each block of x and each of y."""
    sums = np.zeros((block_x.max() + 1, block_y.max() + 1))
    member = np.eye(sums.shape[1])[block_y]  # [len(y), blocks of y]
    for start in range(0, len(x), ROWS):
        stretch = slice(start, start + ROWS)
        kernels = (x[stretch] @ y.T / x.shape[1] + 1) ** 3
        np.add.at(sums, block_x[stretch], kernels @ member)
    return sums


def _diagonal(x: Float64) -> Float64:
    return (np.square(x).sum(1) / x.shape[1] + 1) ** 3
