"""The tables of `bench list` and `bench status`, and what they cost to show."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bench.console import tables
from bench.errors import BenchError
from bench.sweep.record.home import Home
from tests.unit.sweep.fakes import plan
from tests.unit.sweep.written import outcome, plan_record, report, suggest, write_journal


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """One sweep: a trial that failed, with a note, and one not begun."""
    place = Home(tmp_path)
    note = "the batch did not fit: micro-batches of 8"
    failure = {**outcome(0, "failed"), "cause": "[Errno 2] gone"}
    records = (plan_record(sweep="echo-1"), suggest(0), report(0, 8, notes=[note]), failure)
    write_journal(place.journal("echo-1"), records)
    return place


def test_status_tells_causes_and_notes(home: Home) -> None:
    console = Console(width=120, file=io.StringIO())
    with console.capture() as got:
        console.print(tables.status(home, "echo-1"))
    assert "note 000: the batch did not fit: micro-batches of 8" in got.get()
    assert "failed 000: [Errno 2] gone" in got.get()
    assert "bench resume echo-1" in got.get()


def test_a_mistyped_workload_is_told_the_nearest(home: Home, tmp_path: Path) -> None:
    assert home.latest("echo") == "echo-1"
    with pytest.raises(BenchError, match="unknown workload 'ecko'; did you mean 'echo'"):
        home.latest("ecko")
    with pytest.raises(BenchError, match="no sweep of echo"):
        Home(tmp_path / "empty").latest("echo")


@pytest.mark.parametrize("command", [["list"], ["status", "echo-1"]])
def test_looking_needs_nothing_heavy(home: Home, command: list[str]) -> None:
    code = (
        "import sys\n"
        "from bench.cli import main\n"
        "try:\n"
        "    main(sys.argv[1:])\n"
        "finally:\n"
        "    heavy = {'torch', 'optuna', 'ray', 'mlflow'} & set(sys.modules)\n"
        "    print('heavy:', sorted(heavy))\n"
    )
    argv = [sys.executable, "-c", code, *command, "--home", str(home.path)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert "echo-1" in done.stdout
    assert done.stdout.splitlines()[-1] == "heavy: []", done.stderr


@pytest.mark.parametrize(
    ("changes", "last"),
    [
        ({"search": "tpe", "startup_trials": 12}, "then what Optuna suggests"),
        ({"search": "tpe", "startup_trials": 24}, "then random draws"),
        ({"search": "random", "startup_trials": 12}, "every trial is drawn at random"),
    ],
)
def test_a_dry_run_says_where_trials_come_from(changes: dict[str, Any], last: str) -> None:
    assert tables._order(plan(trials=24, **changes)).endswith(last)
