"""The fold of a journal into trials."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.config import TrialConfig
from bench.run import Report
from bench.sweep.cost.footprint import predict
from bench.sweep.record.board_rows import rows
from bench.sweep.record.history import History
from tests.unit.sweep.fakes import World, finished, smooth
from tests.unit.sweep.written import (
    END,
    extend,
    outcome,
    plan_record,
    report,
    session,
    start,
    suggest,
)

PLAN = plan_record()


def test_a_trial_is_what_its_records_say() -> None:
    history = History([PLAN, suggest(0, t=1.0), start(0, 2.0)])
    trial = history.trials[0]
    assert trial.open
    assert (trial.running_since, trial.outcome) == (2.0, None)
    history.apply(report(0, 8, metrics={"a": 1.0, "b": 2.0}, seconds={"train": 1.0}))
    history.apply(report(0, 16, 0, metrics={"a": 3.0}, seconds={"train": 5.0}, value=0.5))
    history.apply(report(0, 24, notes=["smaller"]))
    assert (trial.nimg, trial.rungs) == (24, {0: 0.5})
    assert trial.metrics == {"a": 3.0, "b": 2.0}  # the latest of each
    assert trial.notes == ["smaller"]
    history.apply(outcome(0, "completed", t=7.0))
    assert (trial.outcome, trial.cause, trial.ended_at) == ("completed", "why", 7.0)
    assert not trial.open


def test_an_interrupted_trial_is_open_and_starts_again() -> None:
    history = History([PLAN, suggest(0), start(0, 2.0)])
    history.apply(outcome(0, "interrupted"))
    trial = history.trials[0]
    assert trial.open
    assert history.counts() == {"interrupted": 1}
    history.apply(start(0, 50.0))
    assert (trial.outcome, trial.cause, trial.running_since) == (None, "", 50.0)
    assert history.counts() == {"running": 1}


def test_pauses_between_sessions_are_no_time_of_a_trial() -> None:
    history = History([PLAN, suggest(0), start(0, 10.0), outcome(0, "interrupted", t=14.0)])
    trial = history.trials[0]
    assert trial.wall_sec == 4
    history.apply(session("open", 1000.0))
    history.apply(start(0, 1001.0))
    history.apply(report(0, 8, t=1003.0))
    history.apply(session("open", 9000.0))  # the driver was killed
    assert trial.wall_sec == 4 + 2
    history.apply(start(0, 9001.0))
    history.apply(outcome(0, "completed", t=9002.0))
    assert trial.wall_sec == 4 + 2 + 1
    assert history.device_sec(9500.0) == 2 * (4 + 2 + 1)  # it has two threads
    history.apply(start(0, 9600.0))
    assert history.device_sec(9610.0) == 2 * (4 + 2 + 1 + 10)


def test_an_outcome_decided_after_a_lost_driver_adds_no_time() -> None:
    history = History([PLAN, suggest(0), start(0, 10.0)])
    history.apply(report(0, 8, 0, value=1.0, t=13.0))
    history.apply(session("open", 500.0))
    history.apply(outcome(0, "pruned", t=501.0))
    assert history.trials[0].wall_sec == 3


def test_a_cell_counts_what_reached_its_rung_or_will() -> None:
    cell = ("adm", "edm")
    history = History([PLAN, suggest(0, protected=True), suggest(1), suggest(2, protected=True)])
    history.apply(suggest(3, preconditioning="vp", protected=True))
    assert history.cell_counts()[cell] == (2, 3)  # an open unprotected one may still be pruned
    history.apply(outcome(0, "diverged"))
    assert history.cell_counts()[cell] == (1, 3)
    history.apply(report(1, 16, history.plan.cell_rung))
    history.apply(outcome(1, "waiting"))
    assert history.cell_counts()[cell] == (2, 3)  # it reached the rung that cells are compared at
    history.apply(outcome(2, "interrupted"))  # goes on at the resume
    assert history.cell_counts()[cell] == (2, 3)
    history.apply(suggest(4, origin="tpe"))
    assert history.cell_counts()[cell] == (2, 3)  # what TPE tries there is not the cell's share


def test_without_pruning_every_open_trial_will_complete() -> None:
    history = History([plan_record(prune=False), suggest(0), suggest(1)])
    assert history.cell_counts() == {("adm", "edm"): (2, 2)}


def test_the_best_is_a_completed_trial_with_the_best_last_rung() -> None:
    history = History([PLAN, *(suggest(i) for i in range(4))])
    assert history.best() is None
    for number, value, name in [(0, 3.0, "completed"), (1, 1.0, "pruned"), (2, 2.0, "completed")]:
        history.apply(report(number, 16, 1, value=value))
        history.apply(outcome(number, name))
    history.apply(report(3, 8, 0, value=0.1))  # completed with its last rung's report lost
    history.apply(outcome(3, "completed"))
    best = history.best()
    assert best is not None
    assert best.number == 2


def test_extending_and_ending() -> None:
    history = History([PLAN, suggest(0), outcome(0, "completed"), END])
    assert history.ended is not None
    more = {"trials": 6, "confirm": [{"number": 1, "of": 0}]}
    history.apply(extend(11.0, **more))
    assert history.ended is None
    assert (history.plan.trials, history.plan.rungs) == (6, (0.5, 1.0))
    history.apply(session("open", 12.0))
    assert len(history.sessions) == 1


def test_wall_seconds_are_those_of_the_sessions_and_no_more() -> None:
    history = History([PLAN, session("open", 100.0), suggest(0), report(0, 8, 0, t=130.0)])
    assert history.wall_sec(135.0) == 35.0  # the session is open
    history.apply(session("open", 500.0))  # its driver was lost without a word
    assert history.wall_sec(510.0) == 30.0 + 10.0
    history.apply(session("close", 520.0))
    assert history.wall_sec(9999.0) == 30.0 + 20.0


def test_losses_count_while_a_trial_gets_no_further() -> None:
    history = History([PLAN, suggest(0)])
    lost = {**outcome(0, "interrupted"), "lost": True}
    for _ in range(2):
        history.apply(lost)
    assert history.trials[0].losses == 2
    history.apply(report(0, 8, 0))
    history.apply(lost)
    assert history.trials[0].losses == 1
    history.apply(outcome(0, "interrupted"))  # the user's stop is no loss
    assert history.trials[0].losses == 1


def test_a_trial_given_up_is_open_and_not_gone_on_with() -> None:
    history = History([PLAN, suggest(0), suggest(1)])
    history.apply(extend(1.0, given_up=[0]))
    assert [t.number for t in history.left_open] == [1]


class Scored(World):
    """Trials whose reports have a final score, as a row of a completed one needs."""

    def steps(self, number: int, config: TrialConfig) -> Iterator[Report]:
        for said in super().steps(number, config):
            yield dataclasses.replace(said, metrics={**said.metrics, "eval/fd_fake": 1.0})


def test_a_row_says_where_its_trial_stopped_early(tmp_path: Path) -> None:
    """Fewer images than planned, of a trial that completed; its rungs are where they were said."""

    class Early(Scored):
        def steps(self, number: int, config: TrialConfig) -> Iterator[Report]:
            for said in super().steps(number, config):
                far = config.train.rungs_nimg[1] if number == 0 else said.nimg
                yield dataclasses.replace(said, nimg=min(said.nimg, far))

    engine = finished(tmp_path, Early(smooth), trials=2)
    engine.journal.close()
    early, whole = rows(engine.history)
    planned = engine.history.trials[0].suggestion.train.rungs_nimg
    assert early.outcome == "completed"
    assert early.values["cost/stopped_kimg"] == early.values["cost/kimg"] == planned[1] / 1000
    assert [r["nimg"] for r in early.rungs] == [planned[0], planned[1], planned[1]]
    assert "cost/stopped_kimg" not in whole.values
    assert [r["nimg"] for r in whole.rungs] == list(
        engine.history.trials[1].suggestion.train.rungs_nimg
    )


def test_a_row_has_what_memory_was_predicted_to_be(tmp_path: Path) -> None:
    engine = finished(tmp_path, Scored(smooth), trials=1)
    engine.journal.close()
    (trial,) = engine.history.trials.values()
    needed = predict(TrialConfig.from_dict(trial.suggestion.config))
    values = rows(engine.history)[0].values
    assert values["size/predicted_gb"] == pytest.approx(needed.peak_gb, abs=1e-3)
    predicted = values["size/predicted_training_gb"]
    assert predicted == pytest.approx(needed.training_peak_gb, rel=1e-3)
