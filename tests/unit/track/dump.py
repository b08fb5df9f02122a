"""All that a local store holds about runs, without the ids MLflow draws: read from its tables,
not through its client, so that two projections can be compared (and quickly)."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from bench.track.store import Store


def dump(store: Store) -> dict[str, Any]:
    """Run name -> times, status, params, tags, metric histories, artifacts, parent's name."""
    base = sqlite3.connect(store.uri.removeprefix("sqlite:///"))
    try:
        return _dump(base)
    finally:
        base.close()


def _dump(base: sqlite3.Connection) -> dict[str, Any]:
    found: dict[str, Any] = {}
    names: dict[str, str] = {}
    runs = base.execute(
        "SELECT run_uuid, runs.name, status, start_time, end_time, artifact_uri, experiments.name "
        "FROM runs JOIN experiments USING (experiment_id) WHERE runs.lifecycle_stage = 'active'"
    )
    for run_id, name, status, start, end, place, experiment in runs.fetchall():
        names[run_id] = name
        key = f"{experiment}/{name}"
        assert key not in found, f"{key} is there twice"
        metrics: dict[str, list[tuple[int, int, float]]] = {}
        for metric, *point in base.execute(
            "SELECT key, step, timestamp, value FROM metrics WHERE run_uuid = ? "
            "ORDER BY key, step, timestamp",
            (run_id,),
        ):
            metrics.setdefault(metric, []).append(tuple(point))
        samples = Path(place.removeprefix("file://")) / "samples"
        found[key] = {
            "status": status,
            "start": start,
            "end": end,
            "params": dict(_pairs(base, "params", run_id)),
            "tags": dict(_pairs(base, "tags", run_id)),
            "artifacts": sorted(f"samples/{file.name}" for file in samples.glob("*")),
            "metrics": metrics,
        }
    for run in found.values():
        parent = run["tags"].pop("mlflow.parentRunId", None)
        run["parent"] = names.get(parent) if parent else None
    return found


def _pairs(base: sqlite3.Connection, table: str, run_id: str) -> list[tuple[str, str]]:
    return base.execute(f"SELECT key, value FROM {table} WHERE run_uuid = ?", (run_id,)).fetchall()
