"""The projection of a sweep's journal into MLflow: one parent run, one nested run a trial.

Given the same records in the same order, the same runs come out, however often and in however many
pieces they are given: runs are found again by their tags, times come from the records, and a trial
whose records are all there already is left alone. So a live projection, one that broke off and was
completed later, and one rebuilt from nothing agree.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.track import fields
from bench.track import store as stores
from bench.track.board_runs import project_entries
from bench.track.fields import Point, Record, milliseconds
from bench.track.store import Store
from bench.track.writer import Writer
from leaderboards.facts import facts_of
from leaderboards.rows import ON_ITS_WAY, Row
from leaderboards.scrubbing import without_places

LAST_PHASES = ("final", "end")


@dataclass(kw_only=True)
class _Trial:
    """A trial as its records tell it, and what of it is not in MLflow yet."""

    suggest: Record
    digest: Any = field(default_factory=lambda: hashlib.blake2b(digest_size=16))
    dirty: bool = True
    nimg: int = 0
    points: list[Point] = field(default_factory=list)
    reported: set[str] = field(default_factory=set)  # metrics of the final report
    artifacts: tuple[Record, ...] = ()
    outcome: Record | None = None
    row: Row | None = None
    run_id: str | None = None
    held: tuple[str, str] | None = None  # (status, digest) as MLflow has them

    @property
    def status(self) -> str:
        return "RUNNING" if self.outcome is None else fields.STATUS[self.outcome["outcome"]]

    def take(self, record: Record) -> None:
        """Add a record: suggest, start, report, outcome or tuned."""
        self.digest.update(fields.canonical(record).encode() + b"\n")
        self.dirty = True
        kind = record["kind"]
        if kind in ("start", "report"):
            self.outcome = None  # an interrupted trial goes on
        if kind == "report":
            self.nimg = int(record["nimg"])
            new = fields.report_points(record)
            self.points += new
            if record["phase"] in LAST_PHASES:
                self.reported |= {key for key, *_ in new}
        if kind == "tuned":
            self.points += fields.report_points({"phase": "tune", "nimg": self.nimg, **record})
        if record.get("artifacts"):
            self.artifacts = tuple(record["artifacts"])
        if record.get("row") is not None:
            self.row = Row.from_dict(record["row"])
        if kind == "outcome":
            self.outcome = record
            if self.row is not None and record["outcome"] not in ON_ITS_WAY:
                t = milliseconds(record["t"])
                self.points += fields.row_points(self.row, t, self.nimg, self.reported)


def open_tracker(home: Path, uri: str | None, share_real: bool) -> Projector:
    """The tracker 'mlflow': the store that `uri`, MLFLOW_TRACKING_URI or the home names."""
    return Projector(stores.resolve(uri, home), share_real=share_real)


class Projector:
    """Projects the records of one sweep into MLflow: a `bench.track.tracker.Tracker`.

    Values that look like paths stay out of parameters and of the plan.
    """

    title = "MLflow"

    def __init__(self, store: Store, *, share_real: bool = False) -> None:
        self.store, self.share_real = store, share_real
        self.notes: list[str] = []
        self._plan: dict[str, Any] = {}
        self._trials: dict[int, _Trial] = {}
        self._end: Record | None = None
        self._found: Record | None = None
        self._plan_dirty = False
        self._writer: Writer | None = None
        self._experiment = self._parent = ""
        self._runs: dict[str, Any] = {}  # the runs MLflow already has, by what they are

    @property
    def place(self) -> str:
        return self.store.shown

    def check(self) -> list[str]:
        """Reach the store once. A new local one takes seconds to make: the first record does."""
        if stores.is_new(self.store):
            stores.need_folder(self.store)
            return []
        return stores.check(self.store)

    def close(self) -> None:
        """Nothing is held: every call to MLflow is whole."""

    def project(self, records: Iterable[Record] = ()) -> None:
        """Take records and write all that MLflow does not have. Raises what MLflow raises."""
        for record in records:
            self.take(record)
        if not self._plan:
            return
        try:
            self._write_all(self._writer or self._open())
        except Exception:
            self._writer = None  # what was not answered may have been done: look before the next
            raise

    def _write_all(self, writer: Writer) -> None:
        if self._plan_dirty:
            self._write_plan(writer)
        for trial in self._trials.values():
            if trial.dirty:
                self._write_trial(writer, trial)
        if self._end is not None:
            self._write_end(writer, self._end)
        if self._found is not None:
            self._write_found(writer, self._found)

    def rows(self) -> list[Row]:
        """The rows seen so far, by trial number."""
        trials = [self._trials[number] for number in sorted(self._trials)]
        return [trial.row for trial in trials if trial.row is not None]

    @property
    def sweep_id(self) -> str:
        """Of the sweep's name and start: two users of a server may draw the same name."""
        key = f"{self._plan['sweep']}/{milliseconds(self._plan['t'])}"
        return hashlib.blake2b(key.encode(), digest_size=8).hexdigest()

    def take(self, record: Record) -> None:
        """Take one record in and write nothing yet. Raises KeyError or ValueError if it is none."""
        kind = record["kind"]
        if kind == "plan":
            if self._plan and self._plan["sweep"] != record["sweep"]:
                raise ValueError(f"a projector of {self._plan['sweep']!r} got another sweep's plan")
            self._plan, self._plan_dirty = _without_arms(record), True
        elif kind == "extend":  # more was asked of the same sweep
            self._plan |= _without_arms(record.get("plan", {}))
            self._plan_dirty = True
        elif kind == "suggest":
            self._trials[record["trial"]] = _Trial(suggest=record)
        if kind in ("suggest", "start", "report", "outcome"):
            self._end = None
            self._trials[record["trial"]].take(record)
        elif kind == "tuned":  # the sweep's end stands
            self._trials[record["trial"]].take(record)
        elif kind == "found":
            self._found = record
        elif kind == "end":
            self._end = record

    def _open(self) -> Writer:
        """Find the sweep's runs, or make the parent."""
        writer = Writer(self.store)
        self._experiment = writer.experiment(str(self._plan["workload"]))
        self._runs = self._known(writer)
        parent = self._runs.get("sweep/")
        self._parent = parent.info.run_id if parent is not None else self._create_parent(writer)
        self._writer = writer
        return writer

    def _create_parent(self, writer: Writer) -> str:
        return writer.create(
            self._experiment,
            str(self._plan["sweep"]),
            milliseconds(self._plan["t"]),
            {"bench.kind": "sweep", **self._identity()},
        )

    def _known(self, writer: Writer) -> dict[str, Any]:
        ours = {self._parent, *(trial.run_id for trial in self._trials.values())}
        return writer.known(self._experiment, self.sweep_id, ours)

    def _identity(self) -> dict[str, str]:
        return {"bench.sweep": str(self._plan["sweep"]), "bench.sweep_id": self.sweep_id}

    def _shared_tags(self) -> dict[str, str]:
        """What holds for every run of the sweep."""
        plan = self._plan
        data = plan.get("data") or {}
        return {
            "bench.workload": str(plan["workload"]),
            "bench.scale": str(plan.get("scale", "")),
            "bench.data": fields.data_kind(data.get("simulated")),
            "bench.data_digest": str(data.get("digest", "")),
            "bench.protocol_digest": str(plan.get("protocol_digest", "")),
            "bench.versions": fields.canonical(plan.get("versions") or {})[: fields.CHUNK],
        }

    def _write_plan(self, writer: Writer) -> None:
        plan = self._plan
        facts: dict[str, Any] = {name: plan[name] for name in ("seed", "scale") if name in plan}
        facts |= {name: fields.public(plan.get(name) or {}) for name in ("data", "protocol")}
        tags = {
            "mlflow.note.content": fields.description(plan),
            **self._shared_tags(),
            **fields.chunked("bench.plan", fields.stored(fields.public(plan))),
        }
        writer.log(self._parent, params=fields.params(facts), tags=tags)
        writer.running(self._parent)
        self._plan_dirty = False

    def _write_trial(self, writer: Writer, trial: _Trial) -> None:
        """One trial: its run, what is new in it, its end."""
        suggest, digest = trial.suggest, trial.digest.hexdigest()
        if trial.run_id is None and (known := self._runs.get(f"trial/{suggest['trial_id']}")):
            trial.run_id = known.info.run_id
            trial.held = known.info.status, known.data.tags.get("bench.digest", "")
        if trial.held != (trial.status, digest):
            if trial.run_id is None:
                trial.run_id = writer.create(
                    self._experiment,
                    fields.trial_name(suggest),
                    milliseconds(suggest["t"]),
                    {
                        "bench.kind": "trial",
                        "bench.trial_id": str(suggest["trial_id"]),
                        "mlflow.parentRunId": self._parent,
                        **self._identity(),
                    },
                )
            elif trial.status == "RUNNING" and trial.held and trial.held[0] != "RUNNING":
                writer.running(trial.run_id)
            predicted = {k: v for k, v in suggest.items() if k.startswith("predicted_")}
            params = fields.params({**suggest["params"], "seed": suggest["seed"], **predicted})
            writer.log(trial.run_id, trial.points, params, self._trial_tags(trial))
            if trial.outcome is not None:
                self._finish(writer, trial, trial.run_id, trial.outcome)
                writer.tag(trial.run_id, "bench.digest", digest)  # last: all before it is there
            trial.held = trial.status, digest
        trial.points, trial.dirty = [], False

    def _finish(self, writer: Writer, trial: _Trial, run_id: str, outcome: Record) -> None:
        gone = writer.upload(run_id, trial.artifacts, share_real=self.share_real)
        if gone:
            number = trial.suggest["trial"]
            self.notes.append(f"trial {number}: {', '.join(gone)} gone from disk, not uploaded")
        writer.end(run_id, trial.status, milliseconds(outcome["t"]))

    def _trial_tags(self, trial: _Trial) -> dict[str, str]:
        suggest, outcome = trial.suggest, trial.outcome
        tags = {
            **self._shared_tags(),
            "bench.trial": str(suggest["trial"]),
            "bench.entry_id": str(suggest["entry_id"]),
            "bench.origin": str(suggest["origin"]),
            "bench.outcome": str(outcome["outcome"]) if outcome else "running",
            "bench.cause": without_places(str(outcome["cause"]))[: fields.CHUNK] if outcome else "",
        }
        if trial.row is not None:
            tags |= {
                **fields.cell_tags(trial.row.cell),
                **fields.chunked("bench.row", fields.stored(trial.row.to_dict())),
            }
        return tags

    def _write_found(self, writer: Writer, found: Record) -> None:
        """What a study found: its lines, tables and pictures, with the sweep."""
        lines = without_places("\n".join(found["lines"]))
        writer.log(self._parent, tags=fields.chunked("bench.found", lines))
        writer.upload(self._parent, found["artifacts"], share_real=self.share_real)
        self._found = None

    def _write_end(self, writer: Writer, end: Record) -> None:
        """The sweep is over: its entries for the charts, its claims, its status."""
        self._known(writer)  # one run each
        summary = dict(end.get("summary") or {})
        t = milliseconds(end["t"])
        claims = project_entries(
            writer,
            workload=str(self._plan["workload"]),
            rows=self.rows(),
            facts=facts_of(fields.public(self._plan)),
            end_ms=t,
            tags=self._identity() | self._shared_tags(),
        )
        note = fields.description(self._plan, claims)[: fields.CHUNK]
        points = fields.summary_points(summary, t)
        writer.log(self._parent, points, tags={"mlflow.note.content": note})
        killed = summary.get("outcome") == "interrupted"
        writer.end(self._parent, "KILLED" if killed else "FINISHED", t)
        self._end = None


def _without_arms(plan: Mapping[str, Any]) -> dict[str, Any]:
    """A plan without what a study was asked, which is the user's, and its arms, which are runs of
    their own."""
    return {key: value for key, value in plan.items() if key not in ("arms", "study")}
