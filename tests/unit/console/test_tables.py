"""The tables of `bench list` and `bench status`, and what they cost to show."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from bench.console import tables
from bench.errors import BenchError
from bench.sweep.record.home import Home
from bench.sweep.record.journal import Journal

PLAN = {
    "sweep": "echo-1",
    "workload": "echo",
    "scale": "smoke",
    "data": {"simulated": True, "name": "none"},
    "trials": 2,
    "rungs": [1.0],
}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """One sweep: a trial that failed, with a note, and one not begun."""
    place = Home(tmp_path)
    journal = Journal(place.journal("echo-1"))
    journal.append("plan", **PLAN)
    params = {"architecture": "adm", "preconditioning": "edm"}
    config = {"train": {"budget_nimg": 100}}
    journal.append("suggest", trial=0, label="adm edm", params=params, config=config)
    journal.append(
        "report",
        trial=0,
        phase="progress",
        rung=None,
        nimg=50,
        metrics={},
        seconds={},
        notes=["the batch did not fit: micro-batches of 8"],
        artifacts=[],
    )
    journal.append("outcome", trial=0, outcome="failed", cause="[Errno 2] gone")
    journal.close()
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
    found = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert "echo-1" in found.stdout
    assert found.stdout.splitlines()[-1] == "heavy: []", found.stderr


@pytest.mark.parametrize(
    ("plan", "last"),
    [
        ({"sampler": "tpe", "startup_trials": 12}, "then what Optuna suggests"),
        ({"sampler": "tpe", "startup_trials": 24}, "then random draws"),
        ({"sampler": "random", "startup_trials": 12}, "every trial is drawn at random"),
    ],
)
def test_a_dry_run_says_where_trials_come_from(plan: dict[str, object], last: str) -> None:
    assert tables._order({"trials": 24, **plan}).endswith(last)
