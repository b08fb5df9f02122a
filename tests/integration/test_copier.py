"""A copier planted in a whole sweep: it scores best by far, is caught, and cannot win."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench.sweep.record.history import History
from bench.sweep.record.plan import RaceRules
from bench.sweep.running import race, session
from tests.fakes.copier import COPIER
from tests.integration.test_interrupt import records
from tests.integration.test_sweep import bench

pytestmark = pytest.mark.slow

WORKLOAD = f"{COPIER.rpartition(':')[0]}:WORKLOAD"
NAME, TRIALS = "copied_birds-1", 4  # two methods in two setups each
SWEEP = ("sweep", WORKLOAD, "--scale", "smoke", "--trials", str(TRIALS), "--concurrency", "1")
WHY = "copies its training pictures (100% of samples, p = "


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A home with a finished sweep, and what the command said."""
    home = tmp_path_factory.mktemp("copied") / "home"
    return home, bench(home, *SWEEP)


def is_copier(name: str) -> bool:
    return Path(COPIER).name in name


def test_it_is_barred_on_the_board_and_in_none_of_its_verdicts(swept: tuple[Path, Any]) -> None:
    home, said = swept
    assert said.returncode == 0, said.stderr
    answers = [
        bench(home, "leaderboard", "--format", "json", "--from", source)
        for source in ("journal", "mlflow")
    ]
    board, from_mlflow = (json.loads(answer.stdout) for answer in answers)
    assert board == from_mlflow
    copiers = [entry for entry in board["entries"] if is_copier(entry["label"])]
    honest = [entry for entry in board["entries"] if not is_copier(entry["label"])]
    assert (len(copiers), len(honest)) == (2, 2)
    # by the score alone it would lead
    assert max(entry["score"] for entry in copiers) < min(entry["score"] for entry in honest)
    assert all(entry["barred"].startswith(WHY) for entry in copiers)
    assert all(entry["barred"] is None for entry in honest)
    assert not any(entry["may_be_best"] or entry["rank_low"] for entry in copiers)
    assert board["entries"][0] in honest
    claims = board["claims"]
    assert sum(line.startswith("barred: ") and is_copier(line) for line in claims) == 2
    assert any(line.startswith("verdict: ") and honest[0]["label"] in line for line in claims)
    elsewhere = {line.partition(":")[0] for line in claims if is_copier(line)} - {"barred"}
    assert elsewhere == {"note"}  # that its file passes the checks of a method
    assert WHY in said.stdout  # the table at the end of the sweep


def test_status_does_not_call_it_the_best(swept: tuple[Path, Any]) -> None:
    home, _ = swept
    lines = bench(home, "status").stdout.splitlines()
    (best,) = [line for line in lines if line.startswith("best on select: ")]
    assert not is_copier(best)
    barred = [line for line in lines if line.startswith("barred: ") and is_copier(line)]
    assert len(barred) == 2
    assert all(WHY in line for line in barred)


def test_its_pairs_can_be_looked_at(swept: tuple[Path, Any]) -> None:
    """By the number of its trial; simulated pictures may be in MLflow, too."""
    home, _ = swept
    trials = History(records(home, NAME)).trials.values()
    copier = next(trial for trial in trials if is_copier(trial.suggestion.label))
    shown = bench(home, "show", "samples", "--trial", str(copier.number)).stdout.splitlines()
    (pairs,) = [Path(line) for line in shown if line.endswith("/closest.png")]
    assert pairs.is_file()
    logged = list((home / "mlartifacts").rglob("samples/closest.png"))
    assert len(logged) == TRIALS


def test_no_new_seed_is_spent_on_it(swept: tuple[Path, Any]) -> None:
    """What `bench confirm` would train: as a race, and as the best so many of all or of each."""
    home, _ = swept
    history = History(records(home, NAME))
    look = race.look_at(history, RaceRules(seeds=1))
    chosen = [history.trials[number] for number in look.again]
    for axis in (None, "method", session.CELL):
        chosen += session.best_entries(history, TRIALS, axis)
    assert len(chosen) == 4 * 2  # both honest ones, each time
    assert not any(is_copier(trial.suggestion.label) for trial in chosen)
