"""Forecasts: adding up with known costs, budgets filled, and what was beside what was told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.sweep import budget, forecast
from tests.unit.sweep.fakes import World, finished, frame, plan, smooth

TRAIN, EVALUATE = 8.0, 0.5  # seconds of a whole budget, and of one rung's sampling


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forecast, "_time", lambda config: (TRAIN, EVALUATE))
    monkeypatch.setattr(forecast, "_final_share", lambda config: 2.0)


def test_trials_expected_at_each_rung() -> None:
    # 24 of 12 cells are protected; of the other 40 a half, then a quarter of those
    assert forecast.expected_reach(64, 12, [0.5, 0.25], True) == [64, 44, 29]
    assert forecast.expected_reach(64, 12, [0.5, 0.25], False) == [64, 64, 64]


def test_unpruned_cost_is_trials_times_a_trial(timed: None) -> None:
    found = forecast.forecast(plan(trials=10, prune=False), frame())
    trial = TRAIN + 3 * EVALUATE + 2 * EVALUATE
    assert found.core_seconds == pytest.approx(10 * trial + forecast.START_SEC)
    assert set(found.trial_seconds.values()) == {trial}
    twice = forecast.forecast(plan(trials=10, prune=False), frame(threads=2))
    assert twice.core_seconds == pytest.approx(2 * found.core_seconds)


@pytest.mark.parametrize("kind", ["wall_sec", "device_sec"])
def test_a_budget_holds_as_many_trials_as_its_cost_says(timed: None, kind: str) -> None:
    limits = {"wall_sec": None, "device_sec": None, kind: 500.0}
    body = plan(trials=None, budget=limits, prune=False)
    found = forecast.forecast(body, frame())
    one_more = forecast.forecast({**body, "trials": found.trials + 1}, frame())
    room = 500.0 - (budget.CLOSING_SEC if kind == "wall_sec" else 0.0)
    used = "wall_seconds" if kind == "wall_sec" else "core_seconds"
    assert getattr(found, used) <= room < getattr(one_more, used)


def test_what_was_told_beside_what_was(tmp_path: Path) -> None:
    told: dict[str, Any] = {"core_seconds": 9.0, "wall_seconds": 5.0, "peak_gb": 1.5}
    engine = finished(tmp_path, World(smooth), trials=3)
    assert forecast.compared(told, engine.history, 4.0) is None  # no session: not one whole run
    engine.write("session", event="open", host="here", pid=1)
    body = forecast.compared(told, engine.history, 4.0)
    assert body is not None
    took = sum(t.wall_sec for t in engine.history.trials.values())
    assert body["device_sec"] == (9.0, pytest.approx(took))
    assert body["wall_sec"] == (5.0, 4.0)
    engine.write("session", event="open", host="here", pid=2)
    assert forecast.compared(told, engine.history, 4.0) is None
    assert forecast.compared(None, engine.history, 4.0) is None
