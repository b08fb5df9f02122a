"""A dozen kills of the stress commands; the thousands are run by hand."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.smoke_workloads import SmokeWorkload, by_turns


def run(module: str, folder: Path, *options: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", f"tests.faults.{module}", "--folder", str(folder), *options],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
def test_a_dozen_kills_without_ray(tmp_path: Path) -> None:
    said = run("stress", tmp_path, "--kills", "12", "--trials", "5")
    assert "violations: 0" in said
    assert "0 one at a time" not in said  # at least one was compared with one left alone


@pytest.mark.slow
def test_kills_while_the_store_is_made(tmp_path: Path) -> None:
    said = run("store_kills", tmp_path, "--kills", "9")
    assert "kills: 9" in said
    assert "violations: 0" in said


@pytest.mark.slow
@by_turns("birds")
def test_a_few_kills_with_ray(tmp_path: Path, workload: SmokeWorkload) -> None:
    kills = ("--kills", "3", "--trials", "3", "--per-sweep", "3")
    said = run("on_ray", tmp_path, "--workload", workload.name, *kills)
    assert "kills: 3" in said
    assert "violations: 0" in said


@pytest.mark.slow
def test_it_notices_a_finished_trial_that_is_run_again(tmp_path: Path) -> None:
    """The check itself, on a journal that was tampered with."""
    from bench.sweep.record.home import Home
    from bench.sweep.record.journal import Journal
    from tests.faults.on_ray import compare
    from tests.unit.sweep.fakes import World, finished, smooth

    engine = finished(tmp_path / "sweeps", World(smooth), trials=3)
    assert compare.violations(tmp_path, "fake-1") == []
    engine.journal.close()
    journal = Journal(Home(tmp_path).journal("fake-1"))
    journal.append("start", trial=1, host="here", pid=1)
    again = next(r for r in journal.records if r["kind"] == "suggest")
    journal.append("suggest", **{k: v for k, v in again.items() if k not in ("kind", "n", "t")})
    journal.close()
    assert compare.violations(tmp_path, "fake-1") == [
        "start of trial 1 after its end (completed)",
        "trial 0 suggested twice",
    ]
