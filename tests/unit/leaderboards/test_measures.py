"""Measures and facts: one place that says which way is better and how two values are compared."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from leaderboards.facts import SweepFacts, facts_of
from leaderboards.measures import Measure, union

ERROR = Measure(key="eval/error", title="error", direction="lower")
PSNR = Measure(key="eval/psnr", title="psnr", direction="higher", scale="difference", unit="dB")


def test_better_and_best_follow_the_direction() -> None:
    assert ERROR.better(1.0, 2.0)
    assert not ERROR.better(2.0, 2.0)
    assert PSNR.better(2.0, 1.0)
    assert (ERROR.best([3.0, 1.0, 2.0]), PSNR.best([-3.0, -1.0, -2.0])) == (1.0, -1.0)
    assert PSNR.in_order([1, 3, 2], float) == [3, 2, 1]
    assert ERROR.in_order([1, 3, 2], float) == [1, 2, 3]


@pytest.mark.parametrize(
    ("measure", "value", "other", "gap"),
    [
        (ERROR, 12.0, 10.0, 0.2),
        (ERROR, 8.0, 10.0, -0.2),
        (ERROR, 0.0, 0.0, 0.0),
        (ERROR, 1.0, 0.0, math.inf),
        (ERROR, -1.0, 0.0, -math.inf),
        (PSNR, 28.0, 30.0, 2.0),
        (PSNR, 1.0, 0.0, -1.0),
        (PSNR, -1.0, 0.0, 1.0),
    ],
)
def test_a_gap_says_how_much_worse(
    measure: Measure, value: float, other: float, gap: float
) -> None:
    assert measure.gap(value, other) == pytest.approx(gap)


def test_a_reference_is_missed_on_the_wrong_side_only() -> None:
    above = Measure(key="eval/x", title="x", direction="lower", reference=1.0)
    below = Measure(key="eval/x", title="x", direction="higher", reference=1.0)
    assert [above.misses_reference(v) for v in (0.9, 1.0, 1.1, None)] == [False, False, True, False]
    assert [below.misses_reference(v) for v in (0.9, 1.0, 1.1)] == [True, False, False]
    assert not ERROR.misses_reference(1e9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"direction": "up"}, "direction 'up' is none of"),
        ({"scale": "log"}, "scale 'log' is none of"),
        ({"reference": 1.0}, "a reference needs a direction"),
        ({"title": "spikes /1k"}, "title 'spikes /1k' reads like a path"),
        ({"reference_text": "see /home/x"}, "reference_text .* reads like a path"),
        ({"colour": "red"}, "no measure: .*colour"),
    ],
)
def test_what_is_no_measure_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Measure.from_dict({"key": "eval/x", "title": "x", **change})


def test_a_score_is_what_its_protocol_says() -> None:
    protocol = {"metric": "psnr", "direction": "higher", "scale": "difference", "unit": "dB"}
    assert Measure.of_score(protocol) == PSNR
    assert Measure.of_score({"metric": "error", "direction": "lower"}) == ERROR
    with pytest.raises(ValueError, match="direction 'min' is neither 'lower' nor 'higher'"):
        Measure.of_score({"metric": "error", "direction": "min"})


def test_several_sweeps_have_each_measure_once_in_order() -> None:
    other = Measure(key="eval/error", title="another title")
    assert union([(PSNR, ERROR), (other,)]) == (PSNR, ERROR)


def plan() -> dict[str, Any]:
    return {
        "sweep": "calm-otter",
        "device": {"text": "CPU at /home/x/cpu", "cores": 2},
        "data": {"name": "clips", "simulated": False, "notes": ["2 of /home/x skipped"]},
        "measures": [ERROR.to_dict(), PSNR.to_dict()],
        "cell_axes": ["method", "architecture"],
        "notes": ["every trial stops early"],
        "trials": 4,
    }


def test_the_facts_of_a_plan_name_no_place_and_survive_json() -> None:
    facts = facts_of(plan())
    assert facts == SweepFacts(
        sweep="calm-otter",
        device="CPU at (path)",
        data_name="clips",
        data_notes=("2 of (path) skipped",),
        measures=(ERROR, PSNR),
        cell_axes=("method", "architecture"),
        conditions=("every trial stops early",),
    )
    assert SweepFacts.from_dict(json.loads(json.dumps(facts.to_dict()))) == facts
    with pytest.raises(ValueError, match=r"no facts of a sweep: .*colour"):
        SweepFacts.from_dict({"sweep": "x", "colour": "red"})


def test_the_device_of_a_record_without_a_text_is_its_plain_values() -> None:
    facts = facts_of({"device": {"kind": "cpu", "cores": 2, "more": [1]}})
    assert facts.device == "kind cpu, cores 2"
