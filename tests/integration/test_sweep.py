"""A whole sweep through the command line: real Ray, Optuna, journal and MLflow store, in a pipe."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.sweep.record import journal
from bench.sweep.record.history import History

pytestmark = pytest.mark.slow

COMMAND = [sys.executable, "-m", "bench"]


def environment(home: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "RAY_", "TUNE_"))}
    return {**kept, "BENCH_HOME": str(home), "OMP_NUM_THREADS": "1", "COLUMNS": "120"}


def bench(home: Path, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *args],
        cwd=home.parent,
        env=environment(home),
        capture_output=True,
        text=True,
        timeout=400,
    )


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A home with a finished smoke sweep of five trials, and what the command said."""
    home = tmp_path_factory.mktemp("work") / "home"
    return home, bench(home, "sweep", "echo", "--scale", "smoke", "--trials", "5")


def test_the_sweep_runs_to_its_board_without_a_stray_word(swept: tuple[Path, Any]) -> None:
    home, said = swept
    assert (said.returncode, said.stderr) == (0, "")
    lines = said.stdout.splitlines()
    # Every line before the board is one of ours: the claims, a line a trial, the summary.
    until = next(i for i, line in enumerate(lines) if line.startswith("done: "))
    ours = re.compile(
        r"drawing the simulated data|sweep echo-1: 5 trials|device: |data: SIMULATED|score: "
        r"|rungs at |note: |starting Ray|\[ {1,2}\d+/5\] |\d+:\d\d "
    )
    for line in lines[:until]:
        assert ours.match(line), line
    trials = [line for line in lines if line.startswith("[")]
    assert [line.split("]")[0] for line in trials] == [f"[  {i}/5" for i in range(1, 6)]
    assert all(" completed " in line for line in trials)
    for word in ("Warning", "Traceback", "\x1b"):
        assert word not in said.stdout
    assert "architecture x preconditioning" in said.stdout
    assert "bench leaderboard --sweep echo-1" in said.stdout
    assert History(journal.read(home / "sweeps/echo-1/journal.jsonl")).ended is not None
    assert not (home / "sweeps/echo-1/ray").exists()
    assert {p.name for p in home.parent.iterdir()} == {"home"}  # no mlruns, no ray_results


def test_the_board_is_the_same_from_the_journal_and_from_mlflow(swept: tuple[Path, Any]) -> None:
    home, _ = swept
    ours = bench(home, "leaderboard", "echo", "--format", "json")
    theirs = bench(home, "leaderboard", "echo", "--format", "json", "--from", "mlflow")
    assert (ours.returncode, ours.stderr) == (theirs.returncode, theirs.stderr) == (0, "")
    board = json.loads(ours.stdout)
    assert len(board["entries"]) == 5
    assert board == json.loads(theirs.stdout)


@pytest.mark.parametrize("form", ["table", "md", "csv"])
def test_the_board_in_every_format_names_every_entry(swept: tuple[Path, Any], form: str) -> None:
    said = bench(swept[0], "leaderboard", "echo", "--format", form)
    assert (said.returncode, said.stderr) == (0, "")
    for architecture in ("adm", "ddpmpp", "ncsnpp", "small_unet"):
        assert architecture in said.stdout


def test_list_and_status_tell_that_it_is_complete(swept: tuple[Path, Any]) -> None:
    home, _ = swept
    row = next(line for line in bench(home, "list").stdout.splitlines() if "echo-1" in line)
    assert row.split()[:2] == ["echo-1", "complete"]
    assert "5/5" in row
    status = bench(home, "status").stdout
    assert "echo-1: complete; 5 of 5 trials: 5 completed" in status
    assert "best on select: " in status
    again = bench(home, "resume")
    assert (again.returncode, again.stderr) == (0, "")
    assert "sweep echo-1 is complete" in again.stdout


def test_confirming_trains_the_best_entry_on_new_seeds(swept: tuple[Path, Any]) -> None:
    home, _ = swept
    said = bench(home, "confirm", "--seeds", "2")
    assert (said.returncode, said.stderr) == (0, "")
    history = History(journal.read(home / "sweeps/echo-1/journal.jsonl"))
    assert history.ended is not None
    assert len(history.trials) == 7
    new = [history.trials[n].suggestion for n in (5, 6)]
    assert len({s.entry_id for s in new}) == 1
    assert len({s.seed for s in (*new, history.trials[0].suggestion)}) == 3
    assert history.counts() == {"completed": 7}
    board = json.loads(bench(home, "leaderboard", "echo", "--format", "json").stdout)
    assert len(board["entries"]) == 5
    from_mlflow = bench(home, "leaderboard", "echo", "--format", "json", "--from", "mlflow")
    assert json.loads(from_mlflow.stdout) == board
