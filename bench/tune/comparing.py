"""How much better one way to draw is than another, with an interval: paired by draws and subjects.

Both are measured on the same noise, against the same subjects, so what chance does to both goes out
of their difference. Its variance is the delete-group jackknife's (bench.metrics.jackknife), on the
scale that the score is compared by, once over blocks of draws and once over groups of subjects; a
metric that cannot say what it is without some draws has its two standard errors added. The estimand
is this one trained network; another training would have its own best setting.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy import stats

from bench.metrics.jackknife import paired_error
from bench.tune.judge import Measured
from leaderboards.measures import Measure

LEVEL = 0.95


@dataclass(frozen=True, kw_only=True)
class Gain:
    """How much better, at the middle and the ends of the interval: a share of the other's score on
    the ratio scale, else in the score's unit; positive is better."""

    value: float
    low: float
    high: float
    relative: bool

    def text(self, unit: str = "") -> str:
        """'+12.1 % (95 %: +3.0 to +20.2)'."""
        of, digits = (100.0, ".1f") if self.relative else (1.0, ".3g")
        middle, low, high = (f"{of * v:+{digits}}" for v in (self.value, self.low, self.high))
        unit = " %" if self.relative else f" {unit}" if unit else ""
        return f"{middle}{unit} ({LEVEL:.0%}: {low} to {high})"


def gain(score: Measure, chosen: Measured, other: Measured) -> Gain | None:
    """How much better `chosen` is than `other`; None where one has no value or no error."""
    if chosen.value is None or other.value is None:
        return None
    values = [chosen.value, other.value, *chosen.draws, *other.draws]
    values += [v for one in (chosen, other) for group in one.left_out.values() for v in group]
    relative = score.scale == "ratio" and min(values) > 0
    variances, freedom = _variances(chosen, other, relative)
    if not variances:
        return None
    middle = -score.sign * (_scaled(chosen.value, relative) - _scaled(other.value, relative))
    reach = stats.t.ppf((1 + LEVEL) / 2, freedom) * math.sqrt(sum(variances))
    ends = [middle, middle - reach, middle + reach]
    if relative:  # of a log ratio the share by which the score is better
        ends = [-math.expm1(-end) if score.sign > 0 else math.expm1(end) for end in ends]
    return Gain(value=ends[0], low=ends[1], high=ends[2], relative=relative)


def _variances(chosen: Measured, other: Measured, relative: bool) -> tuple[list[float], float]:
    """Of the difference, by its sources, and the fewest degrees of freedom of them."""
    found, freedom = [], math.inf
    pairs = [(chosen.draws, other.draws)]
    pairs += [(chosen.left_out[k], other.left_out.get(k, [])) for k in chosen.left_out]
    for one, two in pairs:
        if len(one) == len(two) >= 2:
            without, without_other = ([_scaled(v, relative) for v in side] for side in (one, two))
            found.append(paired_error(without, without_other) ** 2)
            freedom = min(freedom, len(one) - 1)
    paired_cases = "cases" in chosen.left_out and "cases" in other.left_out
    if not chosen.draws and not paired_cases and chosen.se is not None and other.se is not None:
        for error, value in ((chosen.se, chosen.value), (other.se, other.value)):
            found.append((error / (abs(value or 1.0) if relative else 1.0)) ** 2)
    return found, freedom


def _scaled(value: float, relative: bool) -> float:
    return math.log(value) if relative else value
