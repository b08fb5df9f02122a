"""Studies whose trials run one after another in this process: what these tests are about needs no
Ray, which takes longer to start than their trials to train. On Ray a study runs in
tests/integration/test_study_kills.py."""

from __future__ import annotations

import os
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from bench.config import TrialConfig
from bench.run import steps
from bench.sweep.running import drive
from bench.sweep.running.engine import Engine


def run_here(engine: Engine, folder: Path, *_: Any) -> None:
    """Run what the engine hands out, as bench.sweep.ray_adapter does."""
    while (trial := engine.next()) is not None:
        engine.started(trial.number, "here", os.getpid())
        config = TrialConfig.from_dict(trial.suggestion.config)
        for report in steps(config, folder / "trials" / f"{trial.number:04d}"):
            if engine.reported(trial.number, report):
                break


@pytest.fixture(autouse=True)
def without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drive, "_ray", lambda *_: nullcontext(0.0))
    monkeypatch.setattr(drive, "_on_tune", run_here)
