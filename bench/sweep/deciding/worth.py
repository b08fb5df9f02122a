"""What a trial that stopped early would have come to, so that all are compared at one rung.

Trials stop at different rungs, and values fall from rung to rung. From each rung to the next the
mean step of the trials that went on (a ratio on the ratio scale, else a difference) is taken for
those that did not: so the luck that promoted some is taken back on average.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import cached_property

from bench.sweep.record.trial import Trial
from leaderboards.measures import Measure


class Worth:
    """The value that a trial would have at the furthest rung that any trial reached.

    Sums are rounded once (math.fsum), so the order in which trials are heard of changes nothing.
    """

    def __init__(self, score: Measure, trials: Iterable[Trial] = ()) -> None:
        self._ratio_scale = score.scale == "ratio"
        self._not_of_sign: dict[int, set[int]] = {1: set(), -1: set()}  # trials with such a value
        # by rung and trial: from its value there to that at the next
        self._differences: dict[int, dict[int, float]] = {}
        self._log_ratios: dict[int, dict[int, float]] = {}
        for trial in trials:
            self.hear(trial)

    def hear(self, trial: Trial) -> None:
        """Take a trial's values for what they are now."""
        for sign, others in self._not_of_sign.items():
            others.discard(trial.number)
            if any(sign * value <= 0 for value in trial.rungs.values()):
                others.add(trial.number)
        for rung, value in trial.rungs.items():
            after = trial.rungs.get(rung + 1)
            if after is not None:
                self._differences.setdefault(rung, {})[trial.number] = after - value
                if value > 0 < after or value < 0 > after:
                    self._log_ratios.setdefault(rung, {})[trial.number] = math.log(after / value)
        self.__dict__.pop("_to_come", None)

    @property
    def _ratio(self) -> bool:
        return self._ratio_scale and not all(self._not_of_sign.values())

    @cached_property
    def _to_come(self) -> dict[int, float]:
        """From each rung to the furthest, by the mean steps."""
        steps = self._log_ratios if self._ratio else self._differences
        means = {rung: math.fsum(its.values()) / len(its) for rung, its in steps.items()}
        return {low: math.fsum(m for rung, m in means.items() if rung >= low) for low in means}

    def __call__(self, trial: Trial) -> float:
        rung = max(trial.rungs)
        value, more = trial.rungs[rung], self._to_come.get(rung, 0.0)
        return value * math.exp(more) if self._ratio else value + more
