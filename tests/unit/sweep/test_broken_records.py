"""Journals with right checksums and wrong contents: one line says what is wrong, the others go on.

The corpus below grows: a broken record that was ever met becomes a line of BROKEN; a seeded sample
of small changes to every kind of record stands beside it.
"""

from __future__ import annotations

import copy
import io
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bench.cli import main
from bench.config import TrialConfig
from bench.console import tables
from bench.errors import BenchError
from bench.sweep.record.board_rows import rows
from bench.sweep.record.history import History, Record
from bench.sweep.record.home import Home
from bench.sweep.record.journal import Journal, read
from tests.unit.sweep.fakes import World, finished, plan, smooth
from tests.unit.sweep.written import write_journal

Records = list[Any]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    """A journal with every kind of record in it."""

    def formula(config: TrialConfig, rung: int) -> float | str:
        return "diverged" if config.method.backbone == "adm" else smooth(config, rung)

    two_cells = {"cells": plan().cells[:2], "defaults": plan().defaults[:2], "startup_trials": 2}
    engine = finished(tmp_path_factory.mktemp("whole"), World(formula), trials=3, **two_cells)
    engine.write("session", event="open", host="here", pid=1)
    engine.write("extend", plan={"trials": 4})
    engine.write("end", summary={})
    engine.journal.close()
    records = engine.journal.records
    for record in records:
        if record["kind"] == "report" and record["phase"] == "end":
            record["metrics"] = {"eval/fd_fake": 1.0}  # a board wants the score
    assert len({record["kind"] for record in records}) == 8
    return records


def nth(records: Records, kind: str) -> Any:
    """The first record of a kind."""
    return next(record for record in records if record["kind"] == kind)


def without(kind: str, key: str) -> Callable[[Records], Records]:
    def change(records: Records) -> Records:
        del nth(records, kind)[key]
        return records

    return change


def put(kind: str, key: str, value: Any) -> Callable[[Records], Records]:
    def change(records: Records) -> Records:
        nth(records, kind)[key] = value
        return records

    return change


def instead(place: int, content: Any) -> Callable[[Records], Records]:
    return lambda records: [*records[:place], content, *records[place + 1 :]]


def shuffled(records: Records) -> Records:
    return [records[0], records[2], records[1], *records[3:]]


BROKEN: dict[str, tuple[Callable[[Records], Records], str]] = {
    "null": (instead(1, None), "record 1: it is no record"),
    "a list": (instead(1, [1, 2]), "record 1: it is no record"),
    "a number": (instead(2, 7), "record 2: it is no record"),
    "a text": (instead(0, "plan"), "record 0: it is no record"),
    "an empty mapping": (instead(1, {}), "record 1: it is no record"),
    "a list as kind": (put("start", "kind", ["start"]), "it is no record"),
    "an unknown kind": (put("start", "kind", "begin"), "no records of kind 'begin'"),
    "no plan": (lambda records: [{**records[1], "n": 0}], "has no plan"),
    "no t": (without("report", "t"), "missing, or out of order"),
    "t as text": (put("report", "t", "now"), "missing, or out of order"),
    "t not a number": (put("report", "t", float("nan")), "report record.t must be finite"),
    "no n": (put("report", "n", None), "missing, or out of order"),
    "no workload": (without("plan", "workload"), "plan record.workload is missing"),
    "no rungs": (without("plan", "rungs"), "plan record.rungs is missing"),
    "rungs as text": (put("plan", "rungs", "0.5"), "plan record.rungs must be a list"),
    "no rung": (put("plan", "rungs", []), "plan.rungs must be positive and rise"),
    "trials as text": (put("plan", "trials", "many"), "plan record.trials must be int"),
    "data as text": (put("plan", "data", "clips"), "plan record.data must be a mapping"),
    "data without a name": (put("plan", "data", {}), "plan.data.name is missing"),
    "another direction": (put("plan", "protocol", {"metric": "fd_fake"}), "protocol.direction is"),
    "an unknown field": (put("plan", "colour", "red"), "unknown key of plan record 'colour'"),
    "no config": (put("suggest", "config", {}), "config.train must be a mapping, got None"),
    "config as text": (put("suggest", "config", "wide"), "suggest record.config must be a mapping"),
    "no rungs of a trial": (put("suggest", "config", {"train": {}}), "rungs_nimg is missing"),
    "no price": (put("suggest", "cost", {}), "suggest record.cost.parameters is missing"),
    "trial as text": (put("suggest", "trial", "0"), "suggest record.trial must be int, got '0'"),
    "trial as truth": (put("suggest", "trial", True), "suggest record.trial must be int, got True"),
    "an unknown origin": (put("suggest", "origin", "luck"), "origin 'luck' is none of"),
    "never suggested": (put("start", "trial", 9), "trial 9 was never suggested"),
    "no such rung": (
        lambda records: [{**r, "rung": 7} if r.get("rung") == 0 else r for r in records],
        "rung 7 is none of the 3 planned",
    ),
    "a rung without value": (
        lambda records: [{**r, "value": None} if r.get("rung") == 0 else r for r in records],
        "without its place or its value",
    ),
    "an unknown outcome": (put("outcome", "outcome", "won"), "outcome 'won' is none of completed"),
    "metrics as a list": (put("report", "metrics", [1.0]), "report record.metrics must be a"),
    "a metric as text": (put("report", "metrics", {"loss": "low"}), "metrics must be float"),
    "extended by what it has not": (put("extend", "plan", {"trails": 4}), "did you mean 'trials'?"),
    "shuffled": (shuffled, "record 1: records before it are missing, or out of order"),
    "one dropped": (
        lambda records: [*records[:3], *records[4:]],
        "record 3: records before it are missing, or out of order",
    ),
    "one twice": (
        lambda records: [*records[:3], records[2], *records[3:]],
        "record 3: records before it are missing, or out of order",
    ),
    "of format 1": (put("plan", "version", 1), "written in format 1 (this one is 3) by an older"),
    "of format 99": (put("plan", "version", 99), "by a newer bench; upgrade bench"),
    "of format x": (put("session", "version", "x"), "written in format 'x'"),
}


@pytest.fixture
def home(tmp_path: Path, whole: list[Record]) -> Home:
    """A sound sweep, "sound-1", beside which a broken one is put."""
    place = Home(tmp_path)
    records = copy.deepcopy(whole)
    records[0]["sweep"] = "sound-1"
    write_journal(place.journal("sound-1"), records)
    return place


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        main(list(args))
    said = capsys.readouterr()
    return int(left.value.code or 0), said.out, said.err


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "400")  # no line of a table is folded


def check_both_commands(
    home: Home, capsys: pytest.CaptureFixture[str], *parts: str, row: str = "unreadable"
) -> None:
    """`bench list` has a row for either sweep; `bench status` refuses the broken one in a line."""
    code, out, err = run(capsys, "list", "--home", str(home.path))
    assert (code, err) == (0, "")
    (sound,) = [line for line in out.splitlines() if line.startswith("sound-1")]
    (broken,) = [line for line in out.splitlines() if line.startswith("broken-1")]
    assert "complete" in sound
    assert row in broken
    code, out, err = run(capsys, "status", "broken-1", "--home", str(home.path))
    assert (code, out, err.count("\n")) == (2, "", 1), err
    for part in parts:
        assert part in err
        assert part in broken


@pytest.mark.parametrize("name", BROKEN)
def test_every_broken_record_is_one_line_and_keeps_no_other_back(
    home: Home, whole: list[Record], capsys: pytest.CaptureFixture[str], name: str
) -> None:
    change, message = BROKEN[name]
    path = write_journal(home.journal("broken-1"), change(copy.deepcopy(whole)))
    with pytest.raises(BenchError) as refusal:
        History(read(path)).plan  # noqa: B018  # a journal without a plan is refused when asked
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)
    check_both_commands(home, capsys, message)


def test_a_broken_record_is_named_by_its_place(home: Home, whole: list[Record]) -> None:
    path = write_journal(home.journal("broken-1"), put("start", "trial", 9)(copy.deepcopy(whole)))
    place = whole.index(nth(whole, "start"))
    with pytest.raises(BenchError, match=f"record {place} of the journal: trial 9 was never"):
        History(read(path))


def folder(path: Path) -> None:
    path.mkdir(parents=True)


def fifo(path: Path) -> None:
    path.parent.mkdir(parents=True)
    os.mkfifo(path)


@pytest.mark.parametrize("make", [folder, fifo])
@pytest.mark.timeout(60)  # a FIFO that is opened waits for ever
def test_what_is_no_file_is_no_journal(
    home: Home, capsys: pytest.CaptureFixture[str], make: Callable[[Path], None]
) -> None:
    path = home.journal("broken-1")
    make(path)
    with pytest.raises(BenchError, match="is no file, so it is no journal; move it away"):
        Journal(path)
    check_both_commands(home, capsys, "is no file, so it is no journal; move it away")
    assert home.taken("broken-1")  # not ours to write over


def test_the_first_format_is_refused_in_one_line_and_is_a_row(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first record as the first bench wrote it: its plan had no version 2's fields."""
    first = {
        "kind": "plan",
        "t": 1.0,
        "version": 1,
        "sweep": "broken-1",
        "workload": "echo",
        "scale": "smoke",
        "trials": 3,
        "sampler": "tpe",
        "cells": [["adm", "edm"]],
        "rungs": [0.25, 0.5, 1.0],
        "protocol": {"metric": "fd_randconv", "direction": "min"},
        "data": {"simulated": True},
    }
    write_journal(home.journal("broken-1"), [first])
    message = "written in format 1 (this one is 3) by an older bench; go on with that one"
    check_both_commands(home, capsys, message)


def test_the_latest_sweep_is_the_latest_that_can_be_read(home: Home, whole: list[Record]) -> None:
    broken = copy.deepcopy(whole)
    broken[0]["t"] = 9e9  # begun after the other
    path = write_journal(home.journal("broken-1"), broken)
    assert home.latest() == "broken-1"
    write_journal(path, put("plan", "trials", "many")(broken))
    assert home.latest() == "sound-1"
    assert home.unfinished("echo") == []


def test_a_completed_trial_without_a_score_gives_no_board(home: Home, whole: list[Record]) -> None:
    records = copy.deepcopy(whole)
    for record in records:
        if record["kind"] == "report":
            record["metrics"] = {}
    path = write_journal(home.journal("broken-1"), records)
    with pytest.raises(BenchError, match="gives no board: row of trial 1: completed without a"):
        rows(History(read(path)))


VALUES = (None, [], {}, "x", -1, 1.5, True, [1], {"a": 1}, ["x"], float("inf"))
GONE = object()


def keys(body: Record, depth: int) -> Iterator[tuple[str, ...]]:
    """The ways to every value down to so many mappings within mappings."""
    for key, value in body.items():
        yield (key,)
        if depth and isinstance(value, dict):
            yield from ((key, *below) for below in keys(value, depth - 1))


def test_no_small_change_of_a_record_is_a_traceback(home: Home, whole: list[Record]) -> None:
    """A seeded sample of the changes (all 2784 of them were tried once); each is either refused
    or shown by list, status and board."""
    kinds = sorted({record["kind"] for record in whole})
    changes = [
        (kind, way, value)
        for kind in kinds
        for way in keys(nth(whole, kind), 2)
        for value in (GONE, *VALUES)
    ]
    assert len(changes) > 2000
    path, shown = home.journal("broken-1"), 0
    refusals: list[str] = []
    for kind, way, value in random.Random(7).sample(changes, 250):
        records = copy.deepcopy(whole)
        body = nth(records, kind)
        for key in way[:-1]:
            body = body[key]
        if value is GONE:
            del body[way[-1]]
        else:
            body[way[-1]] = value
        write_journal(path, records)
        try:
            Console(file=io.StringIO()).print(tables.sweeps(home), tables.status(home, "broken-1"))
            rows(home.history("broken-1"))
            shown += 1
        except BenchError as error:
            refusals.append(str(error))
    assert shown > 30
    assert len(refusals) > 30
    assert not [text for text in refusals if "\n" in text]
