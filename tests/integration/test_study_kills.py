"""A study that is killed or stopped wherever it is: asked again, it goes on with what it has."""

from __future__ import annotations

import csv
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.sweep.record import journal
from tests.integration.test_interrupt import begin
from tests.integration.test_sweep import bench

pytestmark = pytest.mark.slow

ASKED = ("study", "echo", "nfe-curve", "--scale", "smoke", "--offline")
NAME = "echo-nfe-curve-1"


def killed_when(home: Path, reached: Callable[[], bool], how: signal.Signals) -> int:
    """Ask, and end the driver once `reached`; its exit status."""
    process = begin(home, *ASKED)
    deadline = time.monotonic() + 180
    while not reached():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    if how == signal.SIGKILL:
        os.killpg(process.pid, how)  # and what it started
    else:
        process.send_signal(how)
    process.communicate(timeout=60)
    return process.returncode


def test_killed_in_its_training_and_between_its_curves_it_loses_nothing(tmp_path: Path) -> None:
    home = tmp_path / "home"
    sweep = home / "sweeps" / NAME

    def heard() -> list[str]:
        path = sweep / "journal.jsonl"
        return [record["kind"] for record in journal.read(path)] if path.exists() else []

    def kept() -> list[Path]:
        return sorted((sweep / "study").glob("nfe-*.json"))

    assert killed_when(home, lambda: "report" in heard(), signal.SIGKILL) == -signal.SIGKILL
    assert "end" not in heard()
    assert killed_when(home, lambda: len(kept()) >= 3, signal.SIGKILL) == -signal.SIGKILL
    assert not (home / "studies" / NAME).exists()
    measured = {path.name: path.stat().st_mtime_ns for path in kept()}
    assert killed_when(home, lambda: len(kept()) >= len(measured) + 3, signal.SIGINT) == 130
    trained = heard().count("start")

    said = bench(home, *ASKED)

    assert (said.returncode, said.stderr) == (0, "")
    assert "going on with it" in said.stdout
    kinds = heard()
    assert (kinds.count("suggest"), kinds.count("start")) == (1, trained)  # trained once
    assert kinds.count("found") == 1
    assert {path.name: path.stat().st_mtime_ns for path in kept()}.items() >= measured.items()
    found = home / "studies" / NAME
    body = json.loads((found / "study.json").read_text())
    assert body["trials"] == 1
    points = list(csv.DictReader((found / "nfe_curve.csv").open()))
    assert len(points) == len(kept())
    assert len({row["sampler"] for row in points}) == 5
    assert bench(home, "study", "echo", "nfe-curve", "--of", NAME, "--offline").returncode == 0
    again = list(csv.DictReader((home / "studies" / "echo-nfe-curve-2" / "nfe_curve.csv").open()))
    assert again == points  # as one that nothing interrupted
