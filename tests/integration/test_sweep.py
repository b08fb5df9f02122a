"""A whole sweep through the command line: real Ray, Optuna, journal and MLflow store, in a pipe."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bench.sweep.deciding.promote import FINALISTS
from bench.sweep.record import journal
from bench.sweep.record.history import History
from bench.sweep.running import session
from leaderboards.scrubbing import base_name
from tests.fakes.ray_niceness import EVEN
from tests.fakes.smoke_workloads import CASES, EVERY, SmokeWorkload, by_turns

pytestmark = pytest.mark.slow

COMMAND = [sys.executable, "-m", "bench"]


def environment(home: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "RAY_", "TUNE_"))}
    kept.pop("OMP_NUM_THREADS", None)  # as a user has it: libraries' threads are a part of the test
    return {**kept, **EVEN, "BENCH_HOME": str(home), "COLUMNS": "120"}


def bench(home: Path, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *args],
        cwd=home.parent,
        env=environment(home),
        capture_output=True,
        text=True,
        timeout=400,
    )


@dataclass(frozen=True, kw_only=True)
class Swept:
    """A home with a finished smoke sweep, and what the command said."""

    workload: SmokeWorkload
    home: Path
    said: subprocess.CompletedProcess[str]

    @property
    def history(self) -> History:
        return History(journal.read(self.home / f"sweeps/{self.workload.sweep}/journal.jsonl"))

    def board(self, *options: str) -> Any:
        said = bench(self.home, "leaderboard", self.workload.name, "--format", "json", *options)
        assert (said.returncode, said.stderr) == (0, "")
        return json.loads(said.stdout)


SWEPT = [case for case in CASES if EVERY or case.name in ("echo", "chexpert")]


@pytest.fixture(scope="module", params=SWEPT, ids=lambda workload: workload.name)
def swept(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Swept:
    home = tmp_path_factory.mktemp("work") / "home"
    return Swept(workload=request.param, home=home, said=bench(home, *request.param.command))


def test_the_sweep_runs_to_its_board_without_a_stray_word(swept: Swept) -> None:
    home, said, name, n = swept.home, swept.said, swept.workload.sweep, swept.workload.trials
    assert (said.returncode, said.stderr) == (0, "")
    lines = said.stdout.splitlines()
    # Every line before the board is one of ours: the claims, a line a trial, the summary.
    until = next(i for i, line in enumerate(lines) if line.startswith("done: "))
    ours = re.compile(
        rf"drawing the simulated data|sweep {name}: {n} trials|device: |data: SIMULATED|score: "
        rf"|rungs: |note: |starting Ray|\[ {{1,2}}\d+/{n}\] |\d+:\d\d "
    )
    for line in lines[:until]:
        assert ours.match(line), line
    trials = [line for line in lines if line.startswith("[")]
    completed = [t.number for t in swept.history.with_outcome("completed")]
    assert len(completed) >= min(FINALISTS, n)
    said_of = [(line.split()[2], int(line.split()[3])) for line in trials]
    assert sorted(number for outcome, number in said_of if outcome == "completed") == completed
    assert {number for _, number in said_of} == set(range(n))
    assert {outcome for outcome, _ in said_of} <= {"completed", "waiting"}
    for word in ("Warning", "Traceback", "\x1b"):
        assert word not in said.stdout
    plan = swept.history.plan
    assert plan.score.better_text in said.stdout
    assert " x ".join(plan.cell_axes) in said.stdout
    assert f"bench leaderboard --sweep {name}" in said.stdout
    assert swept.history.ended is not None
    assert not (home / f"sweeps/{name}/ray").exists()
    assert {p.name for p in home.parent.iterdir()} == {"home"}  # no mlruns, no ray_results


def test_the_board_is_the_same_from_the_journal_and_from_mlflow(swept: Swept) -> None:
    board = swept.board()
    assert len(board["entries"]) == swept.workload.trials
    assert board == swept.board("--from", "mlflow")
    score = swept.history.plan.score
    values = [entry["score"] for entry in board["entries"] if entry["score"] is not None]
    assert len(values) >= min(FINALISTS, swept.workload.trials)
    assert values == score.in_order(values, lambda value: value)


@pytest.mark.parametrize("form", ["table", "md", "csv"])
def test_the_board_in_every_format_names_every_entry(swept: Swept, form: str) -> None:
    said = bench(swept.home, "leaderboard", swept.workload.name, "--format", form)
    assert (said.returncode, said.stderr) == (0, "")
    cells = [trial.cell.values() for trial in swept.history.trials.values()]
    for value in {base_name(value) for cell in cells for value in cell}:
        assert value in said.stdout


def test_list_and_status_tell_that_it_is_complete(swept: Swept) -> None:
    home, name, n = swept.home, swept.workload.sweep, swept.workload.trials
    row = next(line for line in bench(home, "list").stdout.splitlines() if name in line)
    assert row.split()[:2] == [name, "complete"]
    assert f"{n}/{n}" in row
    status = bench(home, "status").stdout
    counts = ", ".join(f"{k} {outcome}" for outcome, k in swept.history.counts().items())
    assert f"{name}: complete; {n} of {n} trials: {counts}" in status
    assert "best on select: " in status
    again = bench(home, "resume")
    assert (again.returncode, again.stderr) == (0, "")
    assert f"sweep {name} is complete" in again.stdout


def test_confirming_trains_the_best_of_each_choice_on_new_seeds(swept: Swept) -> None:
    """Of those that train; where all choices are of one kind, the best of all."""
    n, axis = swept.workload.trials, swept.history.plan.cell_axes[0]
    each = ("--each", axis) if axis == "method" else ("--top", "1")
    best = session.best_entries(swept.history, 1, axis if "--each" in each else None)
    trained = [trial.suggestion for trial in best if trial.trained]
    assert trained
    said = bench(swept.home, "confirm", *each, "--seeds", "2")
    assert (said.returncode, said.stderr) == (0, "")
    assert ("nothing in it is trained" in said.stdout) == (len(trained) < len(best))
    history = swept.history
    assert history.ended is not None
    assert len(history.trials) == n + 2 * len(trained)
    seeds = {s.entry_id: {s.seed} for s in trained}
    for number in range(n, len(history.trials)):
        new = history.trials[number].suggestion
        seeds[new.entry_id].add(new.seed)
    assert {len(drawn) for drawn in seeds.values()} == {3}
    assert all(history.trials[k].outcome == "completed" for k in range(n, len(history.trials)))
    board = swept.board()
    assert len(board["entries"]) == n
    assert board == swept.board("--from", "mlflow")


@by_turns("birds")
def test_the_smoke_command_says_whether_all_is_well(
    tmp_path: Path, workload: SmokeWorkload
) -> None:
    said = bench(tmp_path / "home", "smoke", workload.name, "--trials", "2")
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout.splitlines()[-1] == "smoke: passed"
    assert list(tmp_path.iterdir()) == []
