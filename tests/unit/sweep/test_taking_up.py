"""What a driver does first with a sweep that another one left, and on another machine."""

from __future__ import annotations

import dataclasses
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from bench.config import TrialConfig
from bench.errors import BenchError
from bench.run import DISK_FULL
from bench.sweep.cost import budget, footprint, host
from bench.sweep.cost.machine import TRIAL_GB, Machine, find_machine
from bench.sweep.deciding import suggest
from bench.sweep.planning.wish import Wish
from bench.sweep.record.history import History
from bench.sweep.record.home import Home
from bench.sweep.record.journal import Journal
from bench.sweep.record.plan import SweepBudget
from bench.sweep.running import drive, session
from bench.sweep.running.engine import Engine
from tests.unit.sweep import fakes
from tests.unit.sweep.fakes import World, end, frame, open_engine, smooth
from tests.unit.sweep.written import plan_record

HERE = Machine(
    device="cpu",
    device_name="this one",
    precision="float32",
    cores=2,
    gpus=0,
    concurrency=1,
    threads=1,
    memory_gb=8.0,
)
DEVICE = {**dataclasses.asdict(HERE), "text": HERE.text}


class Clock:
    def __init__(self) -> None:
        self.t = 1000.0

    def __call__(self) -> float:
        return self.t


def lost_after(folder: Path, reports: int, clock: Clock | None = None, **changes: Any) -> Path:
    """The home of a sweep whose driver was killed after so many reports of its first trial."""
    body = fakes.plan(trials=3, device=DEVICE, **changes)
    path = folder / "sweeps" / "fake-1" / "journal.jsonl"
    engine = open_engine(folder, body, journal=Journal(path, clock or Clock()))
    engine.write("session", event="open", host="here", pid=1)
    trial = engine.next()
    assert trial is not None
    engine.started(trial.number, "here", 1)
    config = TrialConfig.from_dict(trial.suggestion.config)
    for report in list(World(smooth).steps(0, config))[:reports]:
        engine.write("report", trial=0, **dataclasses.asdict(report))
    engine.journal.close()
    return folder


def taken_up(home: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, more: Any) -> Engine:
    """A session of the real driver, Ray left out."""
    path = home / "sweeps" / "fake-1" / "journal.jsonl"
    engine = open_engine(home, journal=Journal(path, clock))
    monkeypatch.setattr(drive, "_ray", lambda *args: nullcontext(0.0))
    monkeypatch.setattr(drive, "_on_tune", lambda engine, *args: fakes.drive(engine, World(smooth)))
    drive.run(engine, Home(home), HERE, more=lambda: more(engine))
    engine.journal.close()
    return engine


def test_more_is_asked_once_the_lost_drivers_last_word_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, clock = lost_after(tmp_path, reports=2), Clock()
    monkeypatch.setattr(
        "bench.sweep.deciding.promote.goes_on",
        lambda plan, history, trial, rung, closing: rung == plan.last_rung,
    )

    def more(engine: Engine) -> None:
        given = session.more_of(engine.history, 2, None, None)
        engine.write("extend", plan=given)

    engine = taken_up(home, clock, monkeypatch, more)
    kinds = [(r["kind"], r.get("outcome")) for r in engine.journal.records]
    at = kinds.index(("extend", None))
    assert kinds[at - 2 : at] == [("session", None), ("outcome", "waiting")]
    assert len(engine.history.trials) == 5


def test_a_day_away_is_no_wall_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    limits = SweepBudget(wall_sec=60.0)
    home = lost_after(tmp_path, reports=1, clock=clock, budget=limits)
    clock.t += 86_400

    def more(engine: Engine) -> None:
        engine.write("extend", plan=session.more_of(engine.history, None, 60.0, None))

    engine = taken_up(home, clock, monkeypatch, more)
    assert engine.spent().wall_sec < 60
    assert engine.history.counts() == {"completed": 3}


def test_trials_that_no_budget_is_left_for_are_told_to_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    limits = SweepBudget(wall_sec=60.0)
    home = lost_after(tmp_path, reports=1, clock=clock, budget=limits)
    path = home / "sweeps" / "fake-1" / "journal.jsonl"
    with Journal(path, clock) as journal:
        clock.t += 70  # it was killed late
        journal.append("start", trial=0, host="here", pid=1)
    engine = taken_up(home, clock, monkeypatch, lambda engine: None)
    (trial,) = engine.history.trials.values()
    assert (trial.outcome, trial.cause) == ("interrupted", budget.SPENT)
    assert engine.history.ended is not None


def test_a_disk_that_was_full_then_does_not_stop_it_now(tmp_path: Path) -> None:
    home = lost_after(tmp_path, reports=1)
    path = home / "sweeps" / "fake-1" / "journal.jsonl"
    engine = open_engine(home, journal=Journal(path))
    body = dataclasses.asdict(end(1, "interrupted", DISK_FULL))
    engine.write("report", trial=0, **body)  # and killed before its outcome
    again = Engine(engine.journal, engine.frame, engine.proposer.space, engine.proposer.choices)
    fakes.drive(again, World(smooth))
    assert again.history.counts() == {"completed": 3}


def test_another_machine_has_its_own_room_and_memory(tmp_path: Path) -> None:
    body = fakes.plan(concurrency=64, fixed_concurrency=False, memory_gb=0.5, device=DEVICE)
    engine = open_engine(tmp_path, body)
    engine.settle(HERE)  # the plan's own
    assert (engine.concurrency, engine.memory.limit_gb) == (1, 0.5)
    other = dataclasses.replace(HERE, device_name="smaller", concurrency=3, memory_gb=2.0)
    engine.settle(other)
    assert (engine.concurrency, engine.memory.limit_gb) == (3, 2.0)
    kept = dataclasses.replace(body, fixed_concurrency=True)
    fixed = open_engine(tmp_path / "fixed", kept)
    fixed.settle(other)
    assert fixed.concurrency == 64


def test_suggestions_fitted_alike_are_one_entry_with_seeds_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = {**fakes.plan().defaults[0], "batch_size": 16}
    monkeypatch.setattr(suggest, "suggest", lambda *asked: (dict(params), {}))
    engine = open_engine(tmp_path, fakes.plan(search="random", concurrency=3))
    whole = session.resolve(engine.frame, params, 0)
    limit = footprint.predict(whole).peak_gb - 1e-4
    assert footprint.fit(whole, limit) not in (None, whole)
    body = fakes.plan(search="random", concurrency=3, memory_gb=limit)
    engine = open_engine(tmp_path / "tight", body)
    trials = [engine.next() for _ in range(3)]
    suggestions = [t.suggestion for t in trials if t is not None]
    assert len({s.entry_id for s in suggestions}) == 1
    assert len({s.trial_id for s in suggestions}) == 3
    assert len({s.seed for s in suggestions}) == 3


def test_trials_at_once_are_as_many_as_the_memory_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    monkeypatch.setattr(host, "cores", lambda: 64)
    monkeypatch.setattr(host, "memory_gb", lambda: 64.0)
    machine = find_machine(None)
    assert machine.concurrency == int(62.5 / TRIAL_GB)
    assert machine.threads == 64 // machine.concurrency
    assert machine.memory_gb is not None
    assert machine.memory_gb > footprint.BASE_GB["cpu"]
    assert find_machine(50).concurrency == 50  # as the user says


def test_what_can_be_added_is_what_the_sweep_was_limited_by() -> None:
    history = History([plan_record(trials=None, budget=SweepBudget(wall_sec=60.0))])
    with pytest.raises(BenchError, match=r"--trials adds .*; it has --wall-clock$"):
        session.more_of(history, 3, None, None)
    with pytest.raises(BenchError, match="--cpu-hours adds"):
        session.more_of(history, None, None, 1.0)
    assert session.more_of(history, None, 60.0, None)["budget"]["wall_sec"] == 120.0


@pytest.mark.parametrize("place", ["s3//bucket/x", "s3:/bucket", "gs//b"])
def test_a_slip_in_a_storage_url_is_no_folder(place: str) -> None:
    with pytest.raises(BenchError, match="neither a path nor a URL"):
        Wish(workload="echo", trials=1, storage=place)


def test_where_no_default_fits_nothing_is_begun() -> None:
    body = fakes.plan(memory_gb=0.2, concurrency=50)
    with pytest.raises(BenchError, match=r"no default configuration fits.*lower --concurrency"):
        session._need_memory(body, frame())
    session._need_memory(dataclasses.replace(body, memory_gb=4.0), frame())
    session._need_memory(dataclasses.replace(body, memory_gb=None), frame())
