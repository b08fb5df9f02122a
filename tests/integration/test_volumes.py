"""A user's own task through the command line: 3D, conditional, judged by PSNR (higher is better).

The workload is one file of the tests; nothing of it is known to the program.
"""

from __future__ import annotations

import json
import math
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bench.sweep.deciding import promote
from bench.sweep.record.history import History
from bench.sweep.record.trial import Trial
from tests.integration.test_interrupt import records, wait_for
from tests.integration.test_sweep import COMMAND, bench, environment

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[2]
WORKLOAD = f"{REPOSITORY / 'tests/fakes/volumes.py'}:WORKLOAD"
NAME, TRIALS = "volumes-1", 10
SWEEP = (  # three cells of two protected trials, so that the last four can be pruned
    *("sweep", WORKLOAD, "--scale", "smoke", "--trials", str(TRIALS)),
    *("--concurrency", "1", "--budget", "0.0012", "--set", "estimator=identity"),
)


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A home with a finished sweep, and what the command said."""
    home = tmp_path_factory.mktemp("whole") / "home"
    return home, bench(home, *SWEEP)


def board(home: Path, *options: str) -> dict[str, Any]:
    answer = bench(home, "leaderboard", "--format", "json", *options)
    assert (answer.returncode, answer.stderr) == (0, "")
    return dict(json.loads(answer.stdout))


def timeless(trial: Trial) -> dict[str, Any]:
    """A trial without what the clock says of it."""

    def still(metrics: dict[str, float]) -> dict[str, float]:
        return {k: v for k, v in metrics.items() if not k.startswith("throughput/")}

    asked = trial.suggestion
    data = {k: v for k, v in asked.config["data"].items() if k != "cache"}  # in each one's home
    return {
        "identity": (asked.trial_id, asked.entry_id, asked.seed, asked.label, asked.origin),
        "params": asked.params,
        "config": {**asked.config, "data": data},
        "protected": asked.protected,
        "rungs": trial.rungs,
        "rung metrics": {rung: still(metrics) for rung, metrics in trial.rung_metrics.items()},
        "metrics": still(trial.metrics),
        "nimg": trial.nimg,
        "outcome": (trial.outcome, trial.cause),
    }


def test_the_sweep_runs_to_its_end_in_the_users_words(swept: tuple[Path, Any]) -> None:
    home, answer = swept
    assert answer.returncode == 0, answer.stderr
    history = History(records(home, NAME))
    assert history.ended is not None
    assert len(history.trials) == TRIALS
    methods = {trial.suggestion.params["method"] for trial in history.trials.values()}
    assert methods == {"classical", "direct", "diffusion"}
    assert "psnr in dB, higher is better" in answer.stdout
    for word in ("Warning", "Traceback", "\x1b"):
        assert word not in answer.stdout


def test_the_lower_psnr_is_pruned(swept: tuple[Path, Any]) -> None:
    """Whoever is pruned at a rung had as many better ones there as may go on, of its own kind."""
    home, _ = swept
    history = History(records(home, NAME))
    plan, trials = history.plan, history.trials.values()
    pruned = history.with_outcome("pruned")
    assert pruned  # else nothing was shown
    for trial in pruned:
        rung = max(trial.rungs)
        like = [t for t in trials if rung in t.rungs and t.group == trial.group]
        mine = -trial.rungs[rung], trial.number
        higher = sum((-t.rungs[rung], t.number) < mine for t in like)  # of equals the earlier
        assert higher >= math.floor(plan.keep[rung] * len(like))
        assert higher >= min(promote.FINALISTS, len(like) - 1)
    last = [t for t in pruned if max(t.rungs) == plan.last_rung - 1]
    for trial in last:  # the finalists were chosen when all others were known
        finalists = [t for t in trials if t.outcome == "completed" and t.group == trial.group]
        assert all(trial.rungs[1] <= t.rungs[1] for t in finalists)


def test_a_killed_sweep_goes_on_to_the_same_journal(
    swept: tuple[Path, Any], tmp_path: Path
) -> None:
    home = tmp_path / "home"
    process = subprocess.Popen(
        [*COMMAND, *SWEEP],
        cwd=home.parent,
        env=environment(home),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(home, "outcome", 3, process, NAME)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    cut = History(records(home, NAME))
    assert 0 < sum(not trial.open for trial in cut.trials.values()) < TRIALS
    answer = bench(home, "resume")
    assert answer.returncode == 0, answer.stderr
    resumed, whole = History(records(home, NAME)), History(records(swept[0], NAME))
    assert resumed.ended is not None
    assert list(resumed.trials) == list(whole.trials)
    for number, trial in whole.trials.items():
        assert timeless(resumed.trials[number]) == timeless(trial), number
    assert board(home, "--from", "mlflow") == board(home)


def test_the_first_entry_has_the_highest_psnr(swept: tuple[Path, Any]) -> None:
    home, _ = swept
    history = History(records(home, NAME))
    reported = {
        trial.suggestion.entry_id: trial.metrics["eval/psnr"]
        for trial in history.trials.values()
        if trial.outcome == "completed"
    }
    entries = [e for e in board(home)["entries"] if e["outcome"] == "completed"]
    scores = [entry["score"] for entry in entries]
    assert scores == sorted(scores, reverse=True)
    best = max(reported, key=lambda entry: reported[entry])
    assert entries[0]["entry_id"] == best


@pytest.mark.parametrize("source", ["journal", "mlflow"])
@pytest.mark.parametrize("form", ["table", "md", "csv"])
def test_the_board_in_every_form_names_what_was_measured(
    swept: tuple[Path, Any], form: str, source: str
) -> None:
    home, _ = swept
    options = ("--format", form, "--from", source, "--sweep", NAME)
    answer = bench(home, "leaderboard", *options)
    assert (answer.returncode, answer.stderr) == (0, "")
    for word in ("direct", "diffusion", "identity", "volume_net.py:build"):
        assert word in answer.stdout
    assert form == "csv" or "psnr in dB, higher is better" in answer.stdout
    assert str(REPOSITORY) not in answer.stdout


def test_no_place_of_this_machine_is_in_the_runs(swept: tuple[Path, Any]) -> None:
    home, _ = swept
    places = {str(home), str(REPOSITORY), str(Path.home())} - {"/"}
    texts = list(_stored_texts(home / "mlflow.db"))
    assert any("volume_net.py:build" in text for text in texts)  # names of files are there
    for text in texts:
        assert not [place for place in places if place in text], text[:300]
    for path in (home / "mlartifacts").rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not [place for place in places if place.encode() in content], path.name


def _stored_texts(database: Path) -> Iterator[str]:
    """All parameters, tags, names and keys of the runs; where the store keeps its own files is
    the store's."""
    columns = {
        "params": ("key", "value"),
        "tags": ("key", "value"),
        "experiment_tags": ("key", "value"),
        "experiments": ("name",),
        "metrics": ("key",),
        "runs": ("name", "source_name", "user_id", "entry_point_name"),
    }
    with closing(sqlite3.connect(database)) as connection:
        for table, names in columns.items():
            for row in connection.execute(f"select {', '.join(names)} from {table}"):
                yield from (str(value) for value in row)


def test_confirming_trains_the_highest_psnr_on_a_new_seed(swept: tuple[Path, Any]) -> None:
    """The last test: the sweep is longer after it."""
    home, _ = swept
    before = History(records(home, NAME))
    on_select = {
        number: trial.rungs[2] for number, trial in before.trials.items() if 2 in trial.rungs
    }
    best = before.trials[max(on_select, key=lambda number: on_select[number])]
    answer = bench(home, "confirm", "--top", "1", "--seeds", "1")
    assert answer.returncode == 0, answer.stderr
    after = History(records(home, NAME))
    assert after.ended is not None
    assert len(after.trials) == TRIALS + 1
    new = after.trials[TRIALS]
    assert new.outcome == "completed"
    assert new.suggestion.entry_id == best.suggestion.entry_id
    assert new.suggestion.seed != best.suggestion.seed
    assert new.metrics["eval/psnr"] != best.metrics["eval/psnr"]
    ours = board(home)
    assert ours == board(home, "--from", "mlflow")
    (entry,) = [e for e in ours["entries"] if e["entry_id"] == best.suggestion.entry_id]
    trained = [t for t in after.trials.values() if t.suggestion.entry_id == entry["entry_id"]]
    assert len(entry["seeds"]) == len(trained) >= 2
