"""The first lines of a sweep: where trials are judged, which go on, what they may spend."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from bench.console.opening_lines import opening
from bench.sweep.record.plan import SweepBudget
from tests.unit.sweep.fakes import plan

PLAN = plan(
    trials=4,
    rungs=(0.25, 0.5, 1.0),
    keep=(1.0, 0.35),
    data={
        "simulated": False,
        "name": "clips",
        "digest": "0" * 16,
        "subjects": {"train": 2},
        "frames": {"train": 9},
        "sigma_data": 0.5,
    },
)


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        (
            {},
            "rungs: the best 100 % at 25 %, 35 % at 50 % of the budget go on, the others wait",
        ),
        ({"prune": False}, "no pruning: every trial runs to its end"),
        ({"trials": None, "budget": SweepBudget(wall_sec=120.0)}, "as many trials as fit in 2 min"),
    ],
)
def test_first_lines_say_what_will_be_done(changed: dict[str, Any], line: str) -> None:
    assert line in "\n".join(opening(dataclasses.replace(PLAN, **changed), ()))
