"""Reading back: sweeps, plans and rows as MLflow holds them.

A trial's complete row is one of its run's tags, so a board built from here equals the journal's.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from bench.errors import BenchError, unknown
from bench.track.fields import joined
from bench.track.store import Store, client
from leaderboards.rows import Row


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """One sweep in MLflow: its plan (without paths), its rows by trial, and trials without one."""

    name: str
    plan: dict[str, Any]
    rows: tuple[Row, ...]
    without_row: int  # runs of trials that have not ended, or not been projected to their end

    @property
    def device(self) -> Any:
        """The plan's device record, for the board's first line."""
        return self.plan.get("device")


def sweeps(store: Store, workload: str, name: str | None = None) -> list[Sweep]:
    """The sweeps of a workload, the latest first; with `name` only those of that name.

    Raises BenchError when the store holds none, naming those it has, or for an unknown workload.
    """
    mlflow = client(store)
    experiment = mlflow.get_experiment_by_name(workload)
    runs = [] if experiment is None else _all_runs(mlflow, experiment.experiment_id)
    parents = [run for run in runs if run.data.tags.get("bench.kind") == "sweep"]
    if experiment is None:
        from bench.workloads.workload import (
            load as load_workload,  # heavy, so only where something is wrong
        )

        load_workload(workload)
    if not parents:
        raise BenchError(
            f"MLflow at {store.shown} holds no sweep of {workload!r}; run `bench sweep "
            f"{workload}`, or `bench sync` to project the journals on this disk"
        )
    if name is not None:
        names = {run.data.tags["bench.sweep"] for run in parents}
        if name not in names:
            raise unknown("sweep", name, names)
        parents = [run for run in parents if run.data.tags["bench.sweep"] == name]
    parents.sort(key=lambda run: (-run.info.start_time, run.info.run_id))
    children: dict[str, list[Any]] = {}
    for run in runs:
        if run.data.tags.get("bench.kind") == "trial":
            children.setdefault(run.data.tags["bench.sweep_id"], []).append(run)
    return [_sweep(run, children.get(run.data.tags["bench.sweep_id"], [])) for run in parents]


def _sweep(parent: Any, runs: list[Any]) -> Sweep:
    found = []
    for run in runs:
        text = joined("bench.row", run.data.tags)
        if text is not None:
            found.append(Row.from_dict(json.loads(text)))
    plan = joined("bench.plan", parent.data.tags)
    return Sweep(
        name=parent.data.tags["bench.sweep"],
        plan=json.loads(plan) if plan else {},
        rows=tuple(sorted(found, key=lambda row: (row.trial, row.trial_id))),
        without_row=len(runs) - len(found),
    )


def _all_runs(mlflow: Any, experiment: str) -> list[Any]:
    """Every run of an experiment that is not deleted."""
    found: list[Any] = []
    token = None
    while True:
        page = mlflow.search_runs([experiment], max_results=1000, page_token=token)
        found += page
        token = page.token
        if not token:
            return found
