from __future__ import annotations

from typing import Any

import pytest

from bench.console.opening_lines import opening

PLAN: dict[str, Any] = {
    "sweep": "echo-1",
    "workload": "echo",
    "scale": "laptop",
    "trials": 4,
    "device": {"text": "a machine", "gpus": 0},
    "data": {
        "simulated": False,
        "name": "clips",
        "subjects": {"train": 2},
        "frames": {"train": 9},
        "sigma_data": 0.5,
    },
    "protocol": {"metric": "fd_randconv", "direction": "lower"},
    "rungs": [0.25, 0.5, 1.0],
    "keep": [1.0, 0.35],
    "prune": True,
    "notes": [],
}


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        (
            {},
            "rungs at 25%, 50%, 100% of the budget; at 25% all go on, at 50% the best 35% go on",
        ),
        ({"prune": False}, "no pruning: every trial runs to its end"),
        ({"trials": None, "budget": {"wall_sec": 120.0}}, "as many trials as fit in 2 min"),
    ],
)
def test_first_lines_say_what_will_be_done(changed: dict[str, Any], line: str) -> None:
    assert line in "\n".join(opening({**PLAN, **changed}, ()))
