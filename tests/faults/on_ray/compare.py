"""What two finished sweeps must agree on: every field that is not a time or a host."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path
from typing import Any

from bench.sweep.record import journal
from bench.sweep.record.board_rows import rows
from bench.sweep.record.history import OUTCOMES, History
from bench.sweep.record.home import Home
from bench.track import store as stores
from leaderboards.rows import ON_ITS_WAY

TIMED = ("peak_mem_gb",)
PATHS = ("cache",)


def told(path: Path, name: str) -> list[dict[str, Any]]:
    """The rows of a sweep and their suggestions, without times, hosts and places."""
    history = History(journal.read(Home(path).journal(name)))
    found = []
    for row, trial in zip(rows(history), history.trials.values(), strict=True):
        body = row.to_dict()
        body["values"] = {k: v for k, v in body["values"].items() if not _measured_time(k)}
        body["rungs"] = [{k: v for k, v in r.items() if not _timed(k)} for r in body["rungs"]]
        body["suggestion"] = {
            k: _placeless(v)
            for k, v in dataclasses.asdict(trial.suggestion).items()
            if k not in ("t", "n") and not _timed(k)
        }
        metrics = {k: v for k, v in trial.metrics.items() if not k.startswith("throughput/")}
        found.append({**body, "metrics": metrics, "losses": None})
    return found


def _timed(key: str) -> bool:
    return key in TIMED or key.endswith(("_per_sec", "_per_img", "sec", "seconds"))


def _measured_time(metric: str) -> bool:
    last = metric.rpartition("/")[2]
    return metric.startswith("throughput/") or last in ("cost", "busy_share") or _timed(last)


def _placeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _placeless(v) for k, v in value.items() if k not in PATHS}
    return value


def violations(path: Path, name: str) -> list[str]:
    """What a journal shows to have gone wrong, whatever the sweep should have become."""
    found = []
    suggested: dict[int, Any] = {}
    ended: dict[int, str] = {}
    for record in journal.read(Home(path).journal(name)):
        number = record.get("trial")
        if record["kind"] == "suggest":
            if number in suggested:
                found.append(f"trial {number} suggested twice")
            suggested[number] = record
        elif number in ended and record["kind"] in ("start", "report", "outcome"):
            found.append(f"{record['kind']} of trial {number} after its end ({ended[number]})")
        elif record["kind"] == "outcome" and record["outcome"] not in ON_ITS_WAY:
            ended[number] = record["outcome"]
            if record["outcome"] not in OUTCOMES:
                found.append(f"trial {number} ended as {record['outcome']}")
    return found


def unfinished(path: Path, name: str) -> list[str]:
    """At a sweep's end: trials forgotten on the way, and those that failed."""
    history = History(journal.read(Home(path).journal(name)))
    found = [f"trial {t.number} forgotten" for t in history.trials.values() if t.open]
    return found + [f"trial {t.number}: {t.cause}" for t in history.with_outcome("failed")]


def runs(path: Path) -> dict[str, Any]:
    """The MLflow runs of a sweep's own store: status, parameters, metric histories, tags."""
    from mlflow import MlflowClient

    uri = stores.resolve(None, path).uri
    client = MlflowClient(uri)
    found: dict[str, Any] = {}
    keys: Counter[str] = Counter()
    for experiment in client.search_experiments():
        for run in client.search_runs([experiment.experiment_id], max_results=1000):
            tags = run.data.tags
            trial = tags.get("bench.trial_id")
            key = trial or f"{tags.get('bench.kind')}/{run.info.run_name}"
            keys[key] += 1
            found[f"{key}#{keys[key]}"] = {
                "status": run.info.status,
                "params": {k: v for k, v in run.data.params.items() if not _timed(k)},
                "metrics": {
                    name: [
                        (m.step, m.value) for m in client.get_metric_history(run.info.run_id, name)
                    ]
                    for name in run.data.metrics
                    if not _measured_time(name)
                },
                "tags": {
                    k: v
                    for k, v in tags.items()
                    if k in ("bench.outcome", "bench.cause", "bench.entry_id", "bench.origin")
                },
            }
    return found


def differences(path: Path, other: Path, name: str) -> list[str]:
    """What two finished sweeps do not agree on, in their journals and in MLflow."""
    found = []
    ours, theirs = told(path, name), told(other, name)
    if len(ours) != len(theirs):
        found.append(f"{len(ours)} trials, not {len(theirs)}")
    for a, b in zip(ours, theirs, strict=False):
        found += [
            f"trial {b['trial']}: {k} is {a.get(k)!r}, not {b[k]!r}" for k in b if a.get(k) != b[k]
        ]
    mine, left_alone = runs(path), runs(other)
    if mine.keys() != left_alone.keys():
        found.append(f"MLflow runs {sorted(mine.keys() ^ left_alone.keys())}")
    for key in mine.keys() & left_alone.keys():
        for part in ("status", "params", "metrics", "tags"):
            if mine[key][part] != left_alone[key][part]:
                found.append(f"MLflow run {key}: {part} differ")
    return found
