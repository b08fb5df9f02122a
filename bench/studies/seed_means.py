"""A score's mean over training seeds, with its t interval, and who is surely above whom.

All is of logarithms. Arms of a study share their training seeds, so that they are compared seed by
seed; several comparisons of one claim are corrected by Holm (1979).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from bench.studies.study import Ran
from leaderboards.measures import Measure

LEVEL = 0.95


@dataclass(frozen=True, kw_only=True)
class SeedMean:
    """value and its interval, in the score's unit; nan ends from one seed. by_seed: the values."""

    value: float
    low: float
    high: float
    by_seed: Mapping[int, float]

    @property
    def text(self) -> str:
        if math.isnan(self.low):
            return f"{self.value:.3g} (one seed)"
        return f"{self.value:.3g} ({self.low:.3g} to {self.high:.3g})"

    def above_p(self, other: SeedMean, factor: float = 1.0) -> float:
        """The p-value of its being `factor` times the other or less: small, it is surely above.
        A paired t test over the seeds that both have; 1 where they are fewer than two."""
        common = sorted(self.by_seed.keys() & other.by_seed.keys())
        if len(common) < 2:
            return 1.0
        apart = [math.log(self.by_seed[s] / other.by_seed[s] / factor) for s in common]
        if len(set(apart)) == 1:
            return 0.0 if apart[0] > 0 else 1.0
        return float(stats.ttest_1samp(apart, 0.0, alternative="greater").pvalue)


def told_from(best: Hashable, values: Mapping[Any, Sequence[float]]) -> set[Any]:
    """Which of the others differ from `best`, chosen by the same values, at 5 % for all pairs
    together: Games and Howell's test (1976; scipy), where each has a spread of its own.

    values: of each, on the scale on which they are compared; two or more, else nobody is told.
    """
    names = list(values)
    if len(names) < 2 or any(len(v) < 2 for v in values.values()):
        return set()
    with np.errstate(invalid="ignore", divide="ignore"):  # values without any spread
        p_values = stats.tukey_hsd(*values.values(), equal_var=False).pvalue[names.index(best)]
    return {
        name
        for name, p in zip(names, p_values, strict=True)
        if name != best and (p <= 1 - LEVEL or (math.isnan(p) and values[name] != values[best]))
    }


def surely(p_values: Sequence[float]) -> list[bool]:
    """Which of these one-sided comparisons stand together, at 2.5 %, by Holm."""
    order = np.argsort(p_values, kind="stable")
    stands = [False] * len(p_values)
    for place, k in enumerate(order):
        if p_values[k] > (1 - LEVEL) / 2 / (len(p_values) - place):
            break
        stands[int(k)] = True
    return stands


def mean_of(trials: Sequence[Ran], score: Measure) -> SeedMean | None:
    """Of the trials that completed; None where none did."""
    found = {
        t.arm.seed: t.metrics.get(f"eval/{score.key}", t.metrics.get(score.key))
        for t in trials
        if t.outcome == "completed"
    }
    return mean_of_values({seed: float(v) for seed, v in found.items() if v is not None})


def mean_of_values(by_seed: Mapping[int, float]) -> SeedMean | None:
    """Geometric mean of positive values, and its t interval."""
    if not by_seed:
        return None
    logs = np.log(list(by_seed.values()))
    middle, half = float(logs.mean()), math.nan
    if len(logs) > 1:
        width = stats.t.ppf((1 + LEVEL) / 2, len(logs) - 1)
        half = float(width * logs.std(ddof=1) / math.sqrt(len(logs)))
    return SeedMean(
        value=math.exp(middle),
        low=math.exp(middle - half),
        high=math.exp(middle + half),
        by_seed=by_seed,
    )
