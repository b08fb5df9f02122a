"""Writing runs: the few MLflow calls that the projection makes, in its own terms.

Every call states times and ids itself, so that writing twice leaves what writing once leaves.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.track.fields import Point, Record
from bench.track.store import Store, client

METRICS_A_CALL = 1000  # MLflow's limits for one log_batch: metrics and all entities together,
ENTITIES_A_CALL = 100  # parameters, tags
TRAINING_KIND = {"mlflow.experimentKind": "custom_model_development"}  # the UI opens on runs


class Writer:
    """An open store. Methods raise what MLflow raises."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._client: Any = client(store)

    def experiment(self, name: str) -> str:
        """The experiment's id: made where there is none, restored where it was deleted."""
        known = self._client.get_experiment_by_name(name)
        if known is None:
            place = self.store.artifact_location(name)
            return str(
                self._client.create_experiment(name, artifact_location=place, tags=TRAINING_KIND)
            )
        if known.lifecycle_stage == "deleted":
            self._client.restore_experiment(known.experiment_id)
        return str(known.experiment_id)

    def known(
        self, experiment: str, sweep_id: str, ours: Collection[str | None] = ()
    ) -> dict[str, Any]:
        """Runs of a sweep, as MLflow's Run, by what they are: 'trial/ID', 'entry/ID' or 'sweep/'.

        A call that a slow server did not answer in time may have been carried out and made again:
        of runs that are the same thing one stays, first of all one of `ours` (run ids), and the
        others are deleted.
        """
        runs = list(self._runs(experiment, sweep_id))
        parents = Counter(run.data.tags.get("mlflow.parentRunId") for run in runs)
        runs.sort(
            key=lambda run: (
                run.info.run_id not in ours,
                -parents[run.info.run_id],
                "bench.digest" not in run.data.tags,
                run.info.run_id,
            )
        )
        by_thing: dict[str, Any] = {}
        for run in runs:
            tags = run.data.tags
            of = tags.get("bench.trial_id") or tags.get("bench.entry_id") or ""
            first = by_thing.setdefault(f"{tags.get('bench.kind')}/{of}", run)
            if first is not run and "bench.kind" in tags:
                self._client.delete_run(run.info.run_id)
        return by_thing

    def _runs(self, experiment: str, sweep_id: str) -> Iterator[Any]:
        """Runs of a sweep that are not deleted."""
        clause, token = f"tags.`bench.sweep_id` = '{sweep_id}'", None
        while True:
            page = self._client.search_runs(
                [experiment], clause, max_results=1000, page_token=token
            )
            yield from page
            token = page.token
            if not token:
                return

    def create(self, experiment: str, name: str, start_ms: int, tags: Mapping[str, str]) -> str:
        """A new run's id; the tags that it is found by are there from its first moment."""
        run = self._client.create_run(experiment, start_ms, dict(tags), name)
        return str(run.info.run_id)

    def log(
        self,
        run_id: str,
        points: Sequence[Point] = (),
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """One log_batch where everything fits, as many as needed where not."""
        from mlflow.entities import Metric, Param, RunTag

        metrics = [Metric(*point) for point in points]
        parameters = [Param(key, value) for key, value in (params or {}).items()]
        labels = [RunTag(key, value) for key, value in (tags or {}).items()]
        while metrics or parameters or labels:
            now = parameters[:ENTITIES_A_CALL], labels[:ENTITIES_A_CALL]
            room = METRICS_A_CALL - len(now[0]) - len(now[1])
            self._client.log_batch(run_id, metrics[:room], *now, synchronous=True)
            metrics = metrics[room:]
            parameters, labels = parameters[ENTITIES_A_CALL:], labels[ENTITIES_A_CALL:]

    def running(self, run_id: str, name: str | None = None) -> None:
        """Mark a run as running (again)."""
        self._client.update_run(run_id, status="RUNNING", name=name)

    def end(self, run_id: str, status: str, end_ms: int) -> None:
        self._client.set_terminated(run_id, status, end_ms)

    def tag(self, run_id: str, key: str, value: str) -> None:
        self._client.set_tag(run_id, key, value)

    def upload(self, run_id: str, artifacts: Sequence[Record], *, share_real: bool) -> list[str]:
        """Copy pictures into `samples/`; real ones only with `share_real`. Names that are gone."""
        gone = []
        for artifact in artifacts:
            path, name = Path(artifact["path"]), Path(str(artifact["name"])).name
            if artifact.get("real", True) and not share_real:
                continue
            if not path.is_file():
                gone.append(name)
            elif path.name == name:
                self._client.log_artifact(run_id, str(path), "samples")
            else:
                with tempfile.TemporaryDirectory() as folder:
                    copy = shutil.copyfile(path, Path(folder) / name)
                    self._client.log_artifact(run_id, str(copy), "samples")
        return gone
