"""A score's mean over training seeds, with its t interval; of logarithms on the ratio scale."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from bench.studies.study import Ran
from leaderboards.measures import Measure

LEVEL = 0.95


@dataclass(frozen=True, kw_only=True)
class SeedMean:
    """value and its interval, in the score's unit; nan ends from one seed. values: [seeds]."""

    value: float
    low: float
    high: float
    values: tuple[float, ...]

    @property
    def text(self) -> str:
        if math.isnan(self.low):
            return f"{self.value:.3g} (one seed)"
        return f"{self.value:.3g} ({self.low:.3g} to {self.high:.3g})"

    def surely_above(self, other: SeedMean) -> bool:
        """Whether Welch's t test of the logarithms says it is larger, at 2.5 % on this side."""
        if len(self.values) < 2 or len(other.values) < 2:
            return False
        one, two = np.log(self.values), np.log(other.values)
        found = stats.ttest_ind(one, two, equal_var=False, alternative="greater")
        return bool(found.pvalue < (1 - LEVEL) / 2)


def mean_of(trials: Sequence[Ran], score: Measure) -> SeedMean | None:
    """Of the trials that completed; None where none did."""
    found = [t.metrics.get(f"eval/{score.key}", t.metrics.get(score.key)) for t in trials]
    return mean_of_values([float(v) for v in found if v is not None])


def mean_of_values(values: Sequence[float]) -> SeedMean | None:
    """Geometric mean of positive values, and its t interval."""
    if not values:
        return None
    logs = np.log(values)
    middle, half = float(logs.mean()), math.nan
    if len(logs) > 1:
        width = stats.t.ppf((1 + LEVEL) / 2, len(logs) - 1)
        half = float(width * logs.std(ddof=1) / math.sqrt(len(logs)))
    return SeedMean(
        value=math.exp(middle),
        low=math.exp(middle - half),
        high=math.exp(middle + half),
        values=tuple(values),
    )
