"""Trials that do nothing: what the harness itself costs.

`python -m tests.measure.noop [--trials 64]` runs a sweep whose trials report at once and end, with
real suggestions, journal, Ray actors and MLflow store, and prints seconds from Ray being up.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bench.config import TrialConfig
from bench.run import Report


def steps(config: TrialConfig, folder: Path) -> Iterator[Report]:
    """A rung, then the end, both at once; the value is the learning rate's distance from 1e-3."""
    seconds = {"train": 0.0, "sample": 0.0, "measure": 0.0}
    value = abs(config.train.lr - 1e-3)
    for index, nimg in enumerate(config.train.rungs_nimg):
        yield Report(phase="rung", nimg=nimg, metrics={}, seconds=seconds, rung=index, value=value)
    yield Report(phase="end", nimg=nimg, metrics={}, seconds=seconds, outcome="completed", cause="")
