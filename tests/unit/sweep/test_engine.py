"""The engine without Ray: roles, concurrency, pruning, and resume from wherever a driver died."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.config import TrialConfig
from bench.errors import BenchError
from bench.sweep.deciding.role import PROTECTED, TRIES
from bench.sweep.record.history import History
from bench.sweep.record.journal import Journal, Record, read
from bench.sweep.running import session
from tests.unit.sweep.fakes import (
    World,
    drive,
    end,
    finished,
    open_engine,
    plan,
    smooth,
)

CELLS = list(plan().cells)


class KilledError(BaseException):
    """The driver is gone."""


class MortalJournal(Journal):
    """A journal whose driver dies right after a record is on disk."""

    def __init__(self, path: Path, lives: int) -> None:
        super().__init__(path)
        self.lives = lives

    def append(self, kind: str, **body: Any) -> Record:
        record = super().append(kind, **body)
        self.lives -= 1
        if self.lives == 0:
            raise KilledError
        return record


def facts(records: list[Record]) -> list[tuple[Any, ...]]:
    """A journal without times, hosts, sessions, and what a restart says again."""
    seen: dict[tuple[Any, ...], None] = {}
    for record in records:
        if record["kind"] != "session":
            body = {k: v for k, v in record.items() if k not in ("n", "t", "host", "pid")}
            seen.setdefault(tuple(sorted((k, repr(v)) for k, v in body.items())))
    return list(seen)


SMALL = {
    "trials": 8,
    "cells": (CELLS[1], CELLS[11]),  # ddpmpp edm, small_unet ve
    "defaults": plan().defaults[1:12:10],
    "startup_trials": 2,
}


def small_formula(config: TrialConfig, rung: int) -> float | str:
    """Diverges, prunes and completes within eight trials."""
    if config.method.backbone == "ddpmpp" and config.train.lr == 2e-3:
        return "diverged"
    return smooth(config, rung)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    """The journal of a small sweep that nothing interrupted."""
    engine = finished(tmp_path_factory.mktemp("whole"), World(small_formula), **SMALL)
    counts = engine.history.counts()
    assert {"completed", "pruned", "diverged"} <= set(counts), counts
    assert engine.complete
    return engine.journal.records


def test_killed_after_any_record_the_sweep_ends_as_if_it_had_not_been(
    whole: list[Record], tmp_path: Path
) -> None:
    """One driver a record: all positions of the journal, one folder each."""
    for lives in range(1, len(whole)):
        folder, world = tmp_path / f"{lives}", World(small_formula)
        mortal = MortalJournal(folder / "fake-1" / "journal.jsonl", lives)
        with pytest.raises(KilledError):  # the mortal engine must die where we say
            drive(open_engine(folder, plan(**SMALL), journal=mortal), world)
        mortal.close()
        before = [(r["trial"], r["outcome"]) for r in mortal.records if r["kind"] == "outcome"]
        open_before = [t.number for t in History(mortal.records).trials.values() if t.open]

        engine = open_engine(folder)
        handed = drive(engine, world)
        engine.journal.close()

        assert facts(engine.journal.records) == facts(whole), f"killed after record {lives}"
        finished_before = {number for number, name in before if name != "waiting"}
        assert not finished_before & set(handed)  # finished: never again
        promotions = [r["trial"] for r in engine.journal.records if r["kind"] == "promote"]
        assert all(handed.count(n) <= 1 + promotions.count(n) for n in handed)
        if open_before and handed:
            assert min(handed) <= open_before[0] + 1  # unfinished ones first
        # At most the way to the rung it was on (its last checkpoint is the rung before) again.
        assert len(world.steps_run) - len(set(world.steps_run)) <= 1


def test_unfinished_trials_are_handed_out_first_and_finished_never(tmp_path: Path) -> None:
    world = World(smooth)
    engine = open_engine(tmp_path, plan(trials=6, concurrency=3))
    drive(engine, world, at_most=4)  # three trials in the middle of their lives
    engine.stop("stopped by the user")
    assert engine.next() is None
    assert engine.exhausted
    assert not engine.complete
    stopped = [t.number for t in engine.history.with_outcome("interrupted")]
    assert len(stopped) == 3
    engine.journal.close()

    again = open_engine(tmp_path)
    first = [again.next() for _ in range(4)]
    assert [t.number for t in first if t] == stopped
    assert first[3] is None  # three at once
    again.journal.close()
    last = open_engine(tmp_path)
    drive(last, world)
    assert last.complete
    assert sorted(last.history.trials) == list(range(6))
    suggested = [r["trial"] for r in last.journal.records if r["kind"] == "suggest"]
    assert suggested == list(range(6))  # nothing suggested twice


@pytest.mark.parametrize("together", [1, 2, 5])
def test_no_more_trials_run_than_the_plan_says(tmp_path: Path, together: int) -> None:
    engine = open_engine(tmp_path, plan(trials=20, concurrency=together))
    running = []
    engine.listeners = (lambda record: running.append(len(engine.running)),)
    drive(engine, World(smooth))
    assert max(running) == together
    assert len(engine.history.trials) == 20


def test_the_default_of_each_cell_comes_first_then_each_from_a_second_seed(tmp_path: Path) -> None:
    engine = finished(tmp_path, World(smooth), trials=26)
    trials = list(engine.history.trials.values())
    assert [t.cell for t in trials[:12]] == CELLS
    for trial, default in zip(trials[:12], plan().defaults, strict=True):
        assert trial.suggestion.origin == "default"
        assert trial.protected
        shared = trial.suggestion.params.items() & default.items()
        assert {k for k, _ in shared} == set(trial.suggestion.params)
    assert [t.cell for t in trials[12:24]] == CELLS
    for first, second in zip(trials[:12], trials[12:24], strict=True):
        assert second.suggestion.origin == "default"
        assert second.suggestion.params == first.suggestion.params
        assert second.suggestion.entry_id == first.suggestion.entry_id
        assert second.suggestion.trial_id != first.suggestion.trial_id
        configs = [TrialConfig.from_dict(t.suggestion.config) for t in (first, second)]
        assert configs[0].seed == first.suggestion.seed != second.suggestion.seed
        assert configs[1].seed == second.suggestion.seed
    assert all(t.protected for t in trials[:24])
    assert all(t.outcome == "completed" for t in trials[:24])  # however bad
    assert {t.suggestion.origin for t in trials[24:]} == {"tpe"}
    assert not any(t.protected for t in trials[24:])


def test_a_protected_trial_that_fails_is_replaced_a_few_times(tmp_path: Path) -> None:
    def one_cell_fails(config: TrialConfig, rung: int) -> float | str:
        bad = (config.method.backbone, config.method.preconditioning) == ("adm", "vp")
        return "diverged" if bad else smooth(config, rung)

    engine = finished(tmp_path, World(one_cell_fails), trials=40)
    protected = [t.cell for t in engine.history.trials.values() if t.protected]
    bad_cell = {"architecture": "adm", "preconditioning": "vp"}
    assert protected.count(bad_cell) == TRIES
    for cell in CELLS:
        if cell != bad_cell:
            assert protected.count(cell) == PROTECTED


def test_a_drawn_twice_suggestion_gets_a_new_seed_and_joins_its_entry(tmp_path: Path) -> None:
    params = plan().defaults[0]

    def stubborn(trial: Any, choices: Any) -> None:
        for key, value in params.items():
            trial.suggest_categorical(key, [value])

    body = plan(trials=4, cells=(), defaults=())
    engine = open_engine(tmp_path, body, space=stubborn)
    drive(engine, World(smooth))
    suggestions = [t.suggestion for t in engine.history.trials.values()]
    assert len({s.entry_id for s in suggestions}) == 1
    assert len({s.seed for s in suggestions}) == 4
    assert len({s.trial_id for s in suggestions}) == 4
    assert suggestions[0].seed == 0
    for suggestion in suggestions:
        config = TrialConfig.from_dict(suggestion.config)
        assert (config.seed, config.trial_id) == (suggestion.seed, suggestion.trial_id)


def test_confirmation_runs_the_same_entry_from_new_seeds_unpruned(tmp_path: Path) -> None:
    engine = finished(tmp_path, World(smooth), trials=15)
    best = session.best_entries(engine.history, 2)
    values = {t.number: t.rungs[2] for t in engine.history.with_outcome("completed")}
    assert best[0].number == min(values, key=values.__getitem__)
    assert session.extend_with_confirmation(engine, [t.number for t in best], 3) == 6
    assert not engine.complete
    # Taken up by another driver half-way, twice extended.
    drive(engine, World(smooth), at_most=5)
    engine.stop("stopped")
    engine.journal.close()
    again = open_engine(tmp_path)
    session.extend_with_confirmation(again, [best[0].number], 1)
    drive(again, World(smooth))
    new = [again.history.trials[n] for n in range(15, 22)]
    assert [t.suggestion.entry_id for t in new] == [
        b.suggestion.entry_id for b in (*best, *best, *best, best[0])
    ]
    # the k-th new seed is the same for all
    assert new[0].suggestion.seed == new[1].suggestion.seed
    assert len({t.suggestion.seed for t in new}) == 4
    assert {t.suggestion.origin for t in new} == {"confirm"}
    assert all(t.protected and t.outcome == "completed" for t in new)
    trials = again.history.trials.values()
    assert len({t.suggestion.trial_id for t in trials}) == 22
    assert again.complete


def test_without_pruning_all_complete_and_none_is_protected_for_it(tmp_path: Path) -> None:
    engine = finished(tmp_path, World(smooth), trials=26, prune=False, concurrency=4)
    assert engine.history.counts() == {"completed": 26}
    origins = [t.suggestion.origin for t in engine.history.trials.values()]
    # Running trials count as sure: one more a cell, not TRIES of them.
    assert origins == ["default"] * 24 + ["tpe"] * 2


def test_random_is_random_from_the_first_trial(tmp_path: Path) -> None:
    engine = finished(tmp_path, World(smooth), trials=10, search="random", prune=False)
    assert {t.suggestion.origin for t in engine.history.trials.values()} == {"random"}


def test_a_rung_told_again_is_not_decided_again(tmp_path: Path) -> None:
    engine = open_engine(tmp_path, plan(trials=3, concurrency=2))
    world, trial = World(smooth), engine.next()
    assert trial is not None
    reports = list(world.steps(0, TrialConfig.from_dict(trial.suggestion.config)))
    assert not engine.reported(0, reports[1])
    length = len(engine.journal.records)
    assert not engine.reported(0, reports[1])
    assert len(engine.journal.records) == length


def test_a_lost_trial_is_said_once(tmp_path: Path) -> None:
    engine = open_engine(tmp_path, plan(trials=3))
    trial = engine.next()
    assert trial is not None
    engine.ended(0, "failed", "the process died")
    engine.ended(0, "failed", "again")
    assert [r["cause"] for r in engine.journal.records if r["kind"] == "outcome"] == [
        "the process died"
    ]
    assert engine.next() is not None  # its place is free


def test_listeners_hear_a_record_when_it_is_on_disk(tmp_path: Path) -> None:
    heard: list[Record] = []

    def listen(record: Record) -> None:
        assert read(tmp_path / "fake-1" / "journal.jsonl")[-1] == record
        heard.append(record)

    engine = open_engine(tmp_path, plan(trials=1), listeners=(listen,))
    drive(engine, World(smooth))
    assert heard == engine.journal.records


def test_a_full_disk_ends_the_engine_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.unit.sweep.test_journal import FullDisk

    engine = open_engine(tmp_path, plan(trials=3))
    monkeypatch.setattr("os.write", FullDisk(10))
    with pytest.raises(BenchError, match="the disk is full"):
        engine.next()
    assert not engine.history.trials  # what is not on disk did not happen


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("diverged", "loss is nan"),
        ("out-of-memory", "CUDA out of memory"),
        ("failed", "OSError"),
    ],
)
def test_every_end_is_an_outcome_with_its_cause(tmp_path: Path, name: str, body: str) -> None:
    engine = open_engine(tmp_path, plan(trials=1))
    engine.next()
    assert engine.reported(0, end(8, name, body))
    trial = engine.history.trials[0]
    assert (trial.outcome, trial.cause, trial.nimg) == (name, body, 8)
    assert engine.complete
