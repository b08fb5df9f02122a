"""What a journal says so far: its records folded into the plan and one Trial each.

The fold is the only reader of records; suggestion, pruning, boards and resume ask the History.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

Record = dict[str, Any]

OUTCOMES = ("completed", "pruned", "diverged", "out-of-memory", "failed", "interrupted")


@dataclass
class Trial:
    """One suggestion and all that became of it."""

    number: int
    suggestion: Record
    nimg: int = 0
    rungs: dict[int, float] = field(default_factory=dict)  # rung index -> value on `select`
    rung_seconds: dict[int, dict[str, float]] = field(default_factory=dict)  # spent by each rung
    rung_metrics: dict[int, dict[str, float]] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)  # the latest of each
    seconds: dict[str, float] = field(default_factory=dict)  # train, sample, measure
    notes: list[str] = field(default_factory=list)
    artifacts: list[Record] = field(default_factory=list)
    outcome: str | None = None  # None: waiting or running
    cause: str = ""
    ended_at: float | None = None
    wall_sec: float = 0.0  # sum of the stretches it ran, without the pauses between sessions
    running_since: float | None = None
    heard_at: float = 0.0  # when it last said anything
    losses: int = 0  # times its process or node was lost since it last got any further
    lost_at_nimg: int = -1  # how far it had come when that was last counted

    @property
    def cell(self) -> tuple[str, str]:
        params = self.suggestion["params"]
        return params["architecture"], params["preconditioning"]

    @property
    def open(self) -> bool:
        """Still to be run to its end: never ended, or only interrupted."""
        return self.outcome in (None, "interrupted")

    @property
    def protected(self) -> bool:
        return bool(self.suggestion["protected"])

    @property
    def devices(self) -> float:
        """GPUs, or cores where there is none, that it keeps busy."""
        train = self.suggestion["config"]["train"]
        each = self.suggestion.get("slot", 1.0) if train["device"] == "cuda" else train["threads"]
        return float(each * train.get("workers", 1))


class History:
    """The fold of a journal. `apply` in order; everything else is reading."""

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self.plan: Record = {}
        self.trials: dict[int, Trial] = {}
        self.sessions: list[Record] = []
        self.at_work: dict[int, Trial] = {}  # those that run now
        self.past_device_sec = 0.0  # of the stretches that trials ran, but for those at work
        self.past_wall_sec = 0.0  # of the sessions before the one that is open
        self.open_since: float | None = None  # the session that is open
        self.last_t = 0.0
        self.ended: Record | None = None
        for record in records:
            self.apply(record)

    def apply(self, record: Record) -> None:
        kind = record["kind"]
        if kind == "plan":
            self.plan = record
        elif kind == "extend":  # more trials were asked of the same sweep
            self.plan = {**self.plan, **record["plan"]}
            self.ended = None
        elif kind == "session":
            self._session(record)
        elif kind == "suggest":
            self.trials[record["trial"]] = Trial(record["trial"], record)
            self.ended = None
        elif kind == "start":
            trial = self.trials[record["trial"]]
            trial.outcome, trial.cause = None, ""
            self._pause(trial, trial.heard_at)
            trial.running_since = trial.heard_at = record["t"]
            self.at_work[trial.number] = trial
        elif kind == "report":
            self._report(record)
        elif kind == "outcome":
            self._outcome(record)
        elif kind == "end":
            self.ended = record
        self.last_t = record["t"]

    def _session(self, record: Record) -> None:
        self.sessions.append(record)
        for trial in list(self.at_work.values()):
            self._pause(trial, trial.heard_at)  # its driver was lost without a word
        if self.open_since is not None:
            until = record["t"] if record["event"] == "close" else self.last_t
            self.past_wall_sec += until - self.open_since
        self.open_since = record["t"] if record["event"] == "open" else None

    def _pause(self, trial: Trial, t: float) -> None:
        """The stretch it ran, if it did, ended at `t`."""
        if trial.running_since is not None:
            stretch = t - trial.running_since
            trial.wall_sec += stretch
            self.past_device_sec += stretch * trial.devices
        trial.running_since = None
        self.at_work.pop(trial.number, None)

    def _outcome(self, record: Record) -> None:
        trial = self.trials[record["trial"]]
        trial.outcome, trial.cause = record["outcome"], record["cause"]
        trial.ended_at = record["t"]
        self._pause(trial, record["t"])
        if record.get("lost"):
            further = trial.nimg > trial.lost_at_nimg
            trial.losses = 1 if further else trial.losses + 1
            trial.lost_at_nimg = trial.nimg

    def _report(self, record: Record) -> None:
        trial = self.trials[record["trial"]]
        trial.nimg, trial.heard_at = record["nimg"], record["t"]
        trial.metrics |= record["metrics"]
        trial.seconds = record["seconds"]
        trial.notes = record["notes"]
        trial.artifacts = record["artifacts"]
        if record["phase"] == "rung":
            trial.rungs[record["rung"]] = record["value"]
            trial.rung_seconds[record["rung"]] = record["seconds"]
            trial.rung_metrics[record["rung"]] = record["metrics"]

    @property
    def resume(self) -> str:
        """The command that goes on with the sweep, on the cluster it was begun on."""
        address = self.plan.get("address")
        return f"bench resume {self.plan['sweep']}{f' --address {address}' if address else ''}"

    @property
    def limits(self) -> list[str]:
        """What the sweep was limited by: options that give it more."""
        own = self.plan.get("budget") or {}
        gpu = self.plan["frame"]["device"] == "cuda"
        given = {
            "--trials": self.plan["trials"],
            "--wall-clock": own.get("wall_sec"),
            "--gpu-hours" if gpu else "--cpu-hours": own.get("device_sec"),
        }
        return [name for name, limit in given.items() if limit is not None]

    @property
    def left_open(self) -> list[Trial]:
        """Trials to be gone on with: not ended, and not given up when the sweep was extended."""
        given_up = set(self.plan.get("given_up", ()))
        return [t for t in self.trials.values() if t.open and t.number not in given_up]

    def wall_sec(self, now: float) -> float:
        """Wall seconds of all sessions, the open one until `now`."""
        running = now - self.open_since if self.open_since is not None else 0.0
        return self.past_wall_sec + running

    def device_sec(self, now: float) -> float:
        """GPU-seconds, or core-seconds where there is no GPU, that trials occupied until `now`."""
        stretches = [(t.running_since, t.devices) for t in self.at_work.values()]
        running = sum((now - since) * many for since, many in stretches if since is not None)
        return self.past_device_sec + running

    def with_outcome(self, outcome: str | None) -> list[Trial]:
        return [t for t in self.trials.values() if t.outcome == outcome]

    def counts(self) -> dict[str, int]:
        """Trials by outcome; those without one are `running`."""
        found = [t.outcome or "running" for t in self.trials.values()]
        return {name: found.count(name) for name in (*OUTCOMES, "running") if name in found}

    def cell_counts(self, cell: tuple[str, str]) -> tuple[int, int]:
        """Of one architecture x preconditioning: how many completed or are on the way unprunable,
        and how many were spent on the cell for its own sake."""
        own = [t for t in self.trials.values() if t.cell == cell]
        safe = [t for t in own if t.open and (t.protected or not self.plan.get("prune", True))]
        sure = safe + [t for t in own if t.outcome == "completed"]
        return len(sure), sum(t.suggestion["origin"] in ("default", "cell") for t in own)

    def best(self) -> Trial | None:
        """The completed trial with the lowest value on `select` (what a driver may look at)."""
        final = len(self.plan.get("rungs", ())) - 1
        done = [t for t in self.with_outcome("completed") if final in t.rungs]
        return min(done, key=lambda t: t.rungs[final], default=None)
