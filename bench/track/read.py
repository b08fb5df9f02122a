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
from leaderboards.facts import SweepFacts, facts_of
from leaderboards.rows import Row


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """One sweep in MLflow: its plan (without paths), its rows by trial, and trials without one."""

    name: str
    plan: dict[str, Any]
    rows: tuple[Row, ...]
    without_row: int  # runs of trials that have not ended, or not been projected to their end

    @property
    def facts(self) -> SweepFacts:
        """What a board must know of it beside its rows."""
        return facts_of({**self.plan, "sweep": self.name})


def sweeps(store: Store, workload: str | None, name: str | None = None) -> list[Sweep]:
    """The sweeps of a workload, the latest first; with `name` only those of that name.

    Without a workload it is that of the latest sweep, or of the latest of that name.
    Raises BenchError when the store holds none, naming those it has, or for an unknown workload.
    """
    mlflow = client(store)
    workload = workload or _latest_workload(store, mlflow, name)
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


def _latest_workload(store: Store, mlflow: Any, name: str | None) -> str:
    """The workload of the latest sweep; of the latest of that name, where there is one."""
    experiments = {one.experiment_id: one.name for one in mlflow.search_experiments()}
    kind = "tags.`bench.kind` = 'sweep'"
    named = [] if name is None else [f"{kind} and tags.`bench.sweep` = '{name}'"]
    for clause in (*named, kind):
        runs = mlflow.search_runs(
            list(experiments), clause, max_results=1, order_by=["attributes.start_time DESC"]
        )
        if runs:
            return str(experiments[runs[0].info.experiment_id])
    raise BenchError(
        f"MLflow at {store.shown} holds no sweep; run `bench sweep`, or `bench sync` to project "
        "the journals on this disk"
    )


def _sweep(parent: Any, runs: list[Any]) -> Sweep:
    texts = [joined("bench.row", run.data.tags) for run in runs]
    name = parent.data.tags["bench.sweep"]
    try:
        rows = [Row.from_dict(json.loads(text)) for text in texts if text is not None]
    except ValueError as error:
        raise BenchError(
            f"the rows of sweep {name!r} in MLflow are of another version of bench ({error}); "
            f"`bench sync {name}` writes them anew from the journal"
        ) from error
    plan = joined("bench.plan", parent.data.tags)
    return Sweep(
        name=name,
        plan=json.loads(plan) if plan else {},
        rows=tuple(sorted(rows, key=lambda row: (row.trial, row.trial_id))),
        without_row=len(runs) - len(rows),
    )


def _all_runs(mlflow: Any, experiment: str) -> list[Any]:
    """Every run of an experiment that is not deleted."""
    runs: list[Any] = []
    token = None
    while True:
        page = mlflow.search_runs([experiment], max_results=1000, page_token=token)
        runs += page
        token = page.token
        if not token:
            return runs
