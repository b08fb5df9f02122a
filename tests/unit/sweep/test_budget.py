"""Budgets of a whole sweep: what is spent is what the journal says, and it stops in time."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.config import TrialConfig
from bench.errors import BenchError
from bench.run import Report
from bench.sweep.cost import budget
from bench.sweep.record.history import History
from bench.sweep.record.journal import Journal
from bench.sweep.record.plan import SweepBudget
from bench.sweep.running.engine import LOSSES, Engine
from tests.unit.sweep.fakes import World, drive, frame, open_engine, plan, smooth
from tests.unit.sweep.written import plan_record, suggest

STEP_SEC = 10.0  # of the clock below, from one report to the next


class Clock:
    """Time that passes only where a test says so."""

    def __init__(self) -> None:
        self.t = 1000.0

    def __call__(self) -> float:
        return self.t


class Slow(World):
    """Trials whose every report takes STEP_SEC, counted as training."""

    clock: Clock

    def steps(self, number: int, config: TrialConfig) -> Iterator[Report]:
        spent = 0.0
        for report in super().steps(number, config):
            self.clock.t += STEP_SEC
            spent += STEP_SEC
            yield Report(**{**vars(report), "seconds": {"train": spent}})


def budgeted(
    folder: Path, clock: Clock, wall: float | None, device: float | None, **more: Any
) -> Engine:
    body = plan(
        trials=None, budget=SweepBudget(wall_sec=wall, device_sec=device), prune=False, **more
    )
    journal = Journal(folder / "fake-1" / "journal.jsonl", clock)
    engine = open_engine(folder, body, journal=journal)
    engine.write("session", event="open", host="here", pid=1)
    return engine


def slow(clock: Clock) -> Slow:
    world = Slow(smooth)
    world.clock = clock
    return world


@pytest.mark.parametrize("kind", ["wall", "device"])
def test_a_budget_ends_the_sweep_within_one_report(tmp_path: Path, kind: str) -> None:
    clock, limit = Clock(), 505.0
    limits = (limit, None) if kind == "wall" else (None, limit)
    engine = budgeted(tmp_path, clock, *limits)
    drive(engine, slow(clock))
    spent = engine.spent()
    used = spent.wall_sec if kind == "wall" else spent.device_sec
    assert limit - 3 * STEP_SEC <= used <= limit + STEP_SEC
    assert engine.complete
    assert engine.exhausted
    assert len(engine.history.with_outcome("completed")) == 7  # of 70 s each


def test_the_trial_running_when_it_is_spent_waits(tmp_path: Path) -> None:
    clock = Clock()
    engine = budgeted(tmp_path, clock, 45.0, None)  # within the first trial's life
    drive(engine, slow(clock))
    (trial,) = engine.history.trials.values()
    assert (trial.outcome, trial.cause) == ("interrupted", budget.SPENT)
    more = dataclasses.asdict(budget.more(engine.plan, 400.0, None))
    engine.write("extend", plan={"budget": more})
    again = Engine(engine.journal, engine.frame, engine.proposer.space, engine.proposer.choices)
    drive(again, slow(clock))
    assert again.history.trials[0].outcome == "completed"


def test_no_trial_is_begun_that_would_not_reach_its_first_rung(tmp_path: Path) -> None:
    clock = Clock()
    engine = budgeted(tmp_path, clock, None, 10_000.0)
    trial = next(iter([engine.next()]))
    assert trial is not None
    engine.started(trial.number, "here", 1)
    for report in slow(clock).steps(0, TrialConfig.from_dict(trial.suggestion.config)):
        engine.reported(0, report)
    need = sum(engine.history.trials[0].rung_seconds[0].values())
    used = engine.spent().device_sec
    for left, begins in ((need - 1, False), (need + 1, True)):
        engine.write("extend", plan={"budget": {"device_sec": used + left}})
        assert budget.too_little_left(engine.history, clock.t) is not begins


def test_device_seconds_count_threads_workers_and_shares_of_a_device() -> None:
    def counted(device: str, workers: int = 1, slot: float | None = None) -> float:
        train = {"rungs_nimg": [8], "device": device, "threads": 3, "workers": workers}
        record = {**suggest(0), "config": {"train": train}, "slot": slot}
        return History([plan_record(), record]).trials[0].devices

    assert counted("cpu") == 3
    assert counted("cpu", workers=2) == 6
    assert counted("cuda") == 1
    assert counted("cuda", slot=0.25) == 0.25
    assert counted("cuda", workers=4) == 4


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("30m", 1800), ("2h", 7200), ("1h30m", 5400), ("0.5d", 43200)],
)
def test_durations(text: str, seconds: float) -> None:
    assert budget.seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "2", "h", "2 h", "-1h", "0s", "1y", "2h x"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(BenchError, match="no duration"):
        budget.seconds_of(text)


def test_what_is_left_is_said() -> None:
    spent = budget.Spent(wall_sec=5400, device_sec=7200, wall_left=1800, device_left=-36)
    first, second = budget.left_text(spent, gpu=False)
    assert first == "wall clock: 90.00 of 120.00 min spent, 30.00 min unspent"
    assert second == "CPU-hours: 2.00 of 1.99 h spent, 0.01 h over"


def test_a_lost_trial_goes_on_and_is_never_retried_in_a_loop(tmp_path: Path) -> None:
    engine = open_engine(tmp_path, plan(trials=3))
    asked = []
    for _ in range(LOSSES):
        trial = engine.next()
        assert trial is not None
        engine.started(trial.number, "here", 1)
        asked.append((trial.number, engine.lost(trial.number, "its process died")))
    assert asked == [(0, True)] * (LOSSES - 1) + [(0, False)]
    assert engine.history.trials[0].outcome == "failed"
    assert "lost 3 times at nimg 0: its process died" in engine.history.trials[0].cause
    following = engine.next()
    assert following is not None
    assert following.number == 1


def test_a_lost_trial_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    """Losses at every report of a sweep; each time further on than the one before."""
    whole = open_engine(tmp_path / "whole", plan(trials=6))
    drive(whole, World(smooth))
    world, engine = World(smooth), open_engine(tmp_path / "lossy", plan(trials=6))
    heard = 0
    while (trial := engine.next()) is not None:
        engine.started(trial.number, "here", 1)
        config = TrialConfig.from_dict(trial.suggestion.config)
        for report in world.steps(trial.number, config):
            over = engine.reported(trial.number, report)
            heard += 1
            if over:
                break
            if heard % 2:
                assert engine.lost(trial.number, "its node left")
                break

    def fates(history: History) -> list[Any]:
        trials = history.trials.values()
        return [(t.suggestion.config, t.rungs, t.outcome, t.cause) for t in trials]

    assert fates(engine.history) == fates(whole.history)
    suggested = [r["trial"] for r in engine.journal.records if r["kind"] == "suggest"]
    assert suggested == list(range(6))


def test_nothing_is_told_twice_of_a_trial_taken_up_again(tmp_path: Path) -> None:
    engine = open_engine(tmp_path, plan(trials=1, prune=False))
    trial = engine.next()
    assert trial is not None
    config = TrialConfig.from_dict(trial.suggestion.config)
    for _ in range(2):  # the second life starts from nothing, and says all of it again
        engine.started(0, "here", 1)
        for report in list(World(smooth).steps(0, config))[:3]:
            engine.reported(0, report)
    reports = [r for r in engine.journal.records if r["kind"] == "report"]
    assert [r["phase"] for r in reports] == ["progress", "rung", "progress"]


def test_what_cannot_fit_is_booked_and_never_launched(tmp_path: Path) -> None:
    engine = open_engine(tmp_path, plan(trials=4, memory_gb=1e-6), frame=frame())
    assert engine.next() is None
    trials = engine.history.trials.values()
    assert [t.outcome for t in trials] == ["out-of-memory"] * 4
    assert all("infeasible, not launched" in t.cause for t in trials)
    assert engine.complete


def test_a_runner_may_stop_between_reports_when_the_time_is_up(tmp_path: Path) -> None:
    clock = Clock()
    engine = budgeted(tmp_path, clock, 60.0, None)
    trial = engine.next()
    assert trial is not None
    engine.started(trial.number, "here", 1)
    clock.t += 59 - budget.CLOSING_SEC
    assert not engine.stop_when_spent()
    clock.t += 1
    assert engine.stop_when_spent()
    assert engine.history.trials[0].cause == budget.SPENT
    assert engine.complete  # as far as its budget goes
