"""Trackers: projections of a sweep's journal into what shows and compares runs (contract 5)."""

from __future__ import annotations

from bench.doors import Family

DEFAULT = "mlflow"
TRACKERS = Family(
    kind="tracker",
    table={
        "mlflow": "bench.track.mlflow_projection:open_tracker",
        "tensorboard": "bench.track.tensorboard_files:open_tracker",
    },
    suite="bench.track.tracker_conformance:check",
)
