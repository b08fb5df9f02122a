"""How far shares can be believed: calibration, Brier score and the error-retention curve.

Everything is taken from tables of counts by share (0 to 255), so it is exact and small, and a case
can be left out without another look at the voxels. Sources: expected calibration error of BINS
equal bins, Guo et al. 2017, for each class by itself (Nixon et al. 2019) and their mean; Brier
1950; error-retention, Malinin et al. 2021 (Shifts): the least certain voxels are replaced by the
truth, and what is left of the error is drawn against the share of voxels kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.metrics.segmentation import FULL, Labels, labels_of, require_shares

BINS = 15
LEVELS = FULL + 1
SHARES = np.arange(LEVELS) / FULL

Counts = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Tables:
    """Counts of voxels, case by case.

    by_class: [n, classes, LEVELS, 2]: how many voxels were given this share of the class, and are
        of another class or of it.
    by_confidence: [n, LEVELS, 2]: how many voxels' label has this share, and is right or wrong.
    """

    by_class: Counts
    by_confidence: Counts

    def of_classes(self, classes: NDArray[np.int64]) -> Tables:
        """Those of some classes, from 0."""
        return Tables(by_class=self.by_class[:, classes], by_confidence=self.by_confidence)

    def joined(self) -> Tables:
        """All cases as one."""
        return Tables(
            by_class=self.by_class.sum(0, keepdims=True),
            by_confidence=self.by_confidence.sum(0, keepdims=True),
        )

    def without(self, cases: NDArray[np.bool_]) -> Tables:
        """All cases but these, as one."""
        return Tables(
            by_class=self.by_class[~cases], by_confidence=self.by_confidence[~cases]
        ).joined()


def tables(values: NDArray[Any], targets: Labels) -> Tables:
    """Of shares uint8 [n, K, *spatial] and label maps [n, *spatial]."""
    require_shares(values)
    channels = values.shape[1]
    classes = range(1, channels) if channels > 1 else range(1)
    by_class = np.empty((len(values), len(classes), LEVELS, 2), np.int64)
    by_confidence = np.empty((len(values), LEVELS, 2), np.int64)
    for case, (shares, truth) in enumerate(zip(values, targets, strict=True)):
        for place, channel in enumerate(classes):
            by_class[case, place] = _counted(shares[channel], truth == place + 1)
        wrong = labels_of(shares[None])[0] != truth
        sure = shares.max(axis=0) if channels > 1 else np.maximum(shares[0], FULL - shares[0])
        by_confidence[case] = _counted(sure, wrong)
    return Tables(by_class=by_class, by_confidence=by_confidence)


def _counted(levels: NDArray[np.uint8], yes: NDArray[np.bool_]) -> Counts:
    pairs = levels.ravel().astype(np.int64) * 2 + yes.ravel()
    return np.bincount(pairs, minlength=2 * LEVELS).reshape(LEVELS, 2)


def diagram(by_class: Counts, bins: int = BINS) -> NDArray[np.float64]:
    """Counts [LEVELS, 2] of a class -> [bins, 3]: voxels, mean share, how often it was the class.
    Bin k holds shares from k / bins, that included; 1 is in the last. NaN where a bin is empty."""
    bin_of = np.minimum(np.arange(LEVELS) * bins // FULL, bins - 1)
    voxels = np.bincount(bin_of, by_class.sum(1), bins)
    given = np.bincount(bin_of, by_class.sum(1) * SHARES, bins)
    true = np.bincount(bin_of, by_class[:, 1], bins)
    some = voxels > 0
    out = np.full((bins, 3), np.nan)
    out[:, 0] = voxels
    out[some, 1], out[some, 2] = given[some] / voxels[some], true[some] / voxels[some]
    return out


def calibration_error(all_cases: Tables, *, undecided: bool = False) -> float:
    """Mean over classes of the mean over voxels of |mean share - frequency| of a voxel's bin.

    undecided: only of voxels that were given neither 0 nor 1; NaN where there are none.
    """
    errors = []
    for counts in all_cases.by_class.sum(0):
        judged = _undecided(counts) if undecided else counts
        voxels, given, true = diagram(judged).T
        if voxels.sum():
            errors.append(float(np.nansum(voxels * np.abs(given - true)) / voxels.sum()))
    return float(np.mean(errors)) if errors else float("nan")


def brier(all_cases: Tables) -> float:
    """Mean over classes and voxels of (share - 1 or 0)^2."""
    counts = all_cases.by_class.sum(0)  # [classes, LEVELS, 2]
    square = np.stack([SHARES**2, (1 - SHARES) ** 2], axis=1)
    return float(((counts * square).sum((1, 2)) / counts.sum((1, 2))).mean())


def undecided_share(all_cases: Tables) -> float:
    """Share of voxels, mean over classes, that were given neither 0 nor 1."""
    counts = all_cases.by_class.sum(0).sum(-1)
    return float((counts[:, 1:-1].sum(1) / counts.sum(1)).mean())


def retention(all_cases: Tables) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The share of voxels kept, ascending from 0, and their errors as a share of all voxels.

    The most certain are kept first. Between two points voxels are equally certain and the line is
    straight: what dropping them in any order gives on average.
    """
    counts = all_cases.by_confidence.sum(0)[::-1]
    counts = counts[counts.sum(1) > 0]
    total = counts.sum()
    kept = np.concatenate([[0], counts.sum(1).cumsum()]) / total
    return kept, np.concatenate([[0], counts[:, 1].cumsum()]) / total


def retention_area(all_cases: Tables) -> float:
    """Area under the error-retention curve, lower is better: half the error where certainty says
    nothing."""
    kept, errors = retention(all_cases)
    return float(np.trapezoid(errors, kept))


def ideal_area(error: float) -> float:
    """The area where every wrong voxel is less certain than every right one."""
    return error**2 / 2


def retention_gain(all_cases: Tables) -> float:
    """How much of the way from chance (0) to the ideal order (1) certainty comes; NaN where
    nothing, or everything, is wrong."""
    error = float(retention(all_cases)[1][-1])
    by_chance, ideal = error / 2, ideal_area(error)
    if by_chance == ideal:
        return float("nan")
    return (by_chance - retention_area(all_cases)) / (by_chance - ideal)


def _undecided(counts: Counts) -> Counts:
    inner = counts.copy()
    inner[[0, -1]] = 0
    return inner
