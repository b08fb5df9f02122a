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
from bench.metrics.metric import Estimates, Evidence
from bench.metrics.real import RealData
from leaderboards.measures import Measure

Float64 = NDArray[np.float64]
BLOCKS = 20


class KernelMetric(FeatureMetric):
    """See FeatureMetric for the settings; the features are those of the Fréchet distance."""

    @property
    def measures(self) -> tuple[Measure, ...]:
        key = f"kd_{self.extractor.name}"
        return (Measure(key=key, title=key, direction="lower", scale="difference", drop=12),)

    def prepare(self, real: RealData, part_counts: Mapping[str, int]) -> None:
        super().prepare(real, part_counts)
        for part in ("select", "report"):
            real.features(self.settings["extractor"], part, self.settings["n_reference"])

    def estimate(self, evidence: Evidence) -> Estimates:
        real_features = evidence.real.features(
            self.settings["extractor"], evidence.part, self.settings["n_reference"]
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

    The error is that of drawing other predictions; None with fewer than 10 of them.
    """
    if min(len(real), len(predicted)) < 2 or real.shape[1] != predicted.shape[1]:
        raise BenchError(
            f"a kernel distance needs two sets of features [n >= 2, D], not {real.shape} and "
            f"{predicted.shape}"
        )
    width = real.shape[1]
    within_real = ((real @ real.T) / width + 1) ** 3
    across = ((predicted @ real.T) / width + 1) ** 3  # [m, n]
    within = ((predicted @ predicted.T) / width + 1) ** 3
    n = len(real)
    real_term = (within_real.sum() - np.trace(within_real)) / (n * (n - 1))

    def distance(kept: NDArray[np.bool_]) -> float:
        m = int(kept.sum())
        block = within[np.ix_(kept, kept)]
        term = (block.sum() - np.trace(block)) / (m * (m - 1))
        return float(real_term + term - 2 * across[kept].mean())

    m = len(predicted)
    value = distance(np.ones(m, bool))
    groups = min(blocks, m // 2)
    if m < 10 or groups < 2:
        return value, None
    block_of = np.arange(m) % groups
    without = np.array([distance(block_of != b) for b in range(groups)])
    # Busing et al. 1999, eq. 7: blocks may differ by one in size
    h = m / np.bincount(block_of, minlength=groups)
    estimate = groups * value - float(((1 - 1 / h) * without).sum())
    pseudo = h * value - (h - 1) * without
    return value, float(np.sqrt(((pseudo - estimate) ** 2 / (h - 1)).mean()))
