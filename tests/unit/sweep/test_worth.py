"""What TPE hears of trials that stopped early: their values, carried on to the furthest rung."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from bench.sweep.deciding.worth import Worth
from bench.sweep.record.history import History
from tests.unit.sweep import written
from tests.unit.sweep.fakes import SCORE


@pytest.mark.parametrize(
    ("scale", "worths"),
    [("ratio", [2.0, 1.5, 4.0]), ("difference", [2.5, 1.5, 32.0 - 10.5 - 1.5])],
)
def test_what_stopped_early_is_worth_what_others_made_of_it(
    scale: Any, worths: list[float]
) -> None:
    """Of 16 and 12 came 4 and 3: a quarter, or 10.5 less. Then 3 went on to 1.5."""
    values = [{0: 16.0, 1: 4.0}, {0: 12.0, 1: 3.0, 2: 1.5}, {0: 32.0}]
    score = dataclasses.replace(SCORE, scale=scale)
    history = History([written.plan_record(score=score, rungs=(0.1, 0.5, 1.0), keep=(0.5, 0.5))])
    for number, rungs in enumerate(values):
        history.apply(written.suggest(number))
        for rung, value in rungs.items():
            history.apply(written.report(number, rung + 1, rung, value=value))
    trials = list(history.trials.values())
    worth = Worth(score, trials)
    assert [worth(trial) for trial in trials] == pytest.approx(worths)
