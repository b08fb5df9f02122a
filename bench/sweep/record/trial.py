"""A trial as a history has it: its suggestion, and all that became of it so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from bench.sweep.record.records import Suggestion

ABSENT = "-"  # of an axis that a trial has no value on


@dataclass
class Trial:
    """One suggestion and all that became of it."""

    number: int
    suggestion: Suggestion
    axes: tuple[str, ...] = ()
    even_axes: tuple[str, ...] = ()  # of them
    nimg: int = 0
    rungs: dict[int, float] = field(default_factory=dict)  # rung index -> value on `select`
    rung_seconds: dict[int, dict[str, float]] = field(default_factory=dict)  # spent by each rung
    rung_nimg: dict[int, int] = field(default_factory=dict)  # images seen by each rung
    rung_metrics: dict[int, dict[str, float]] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)  # the latest of each
    seconds: dict[str, float] = field(default_factory=dict)  # train, sample, measure
    left_out: dict[str, list[float]] = field(default_factory=dict)  # of the score
    notes: list[str] = field(default_factory=list)
    artifacts: list[dict[str, Any]] = field(default_factory=list)
    outcome: str | None = None  # None: to be run, or running
    cause: str = ""
    ended_at: float | None = None
    wall_sec: float = 0.0  # sum of the stretches it ran, without the pauses between sessions
    running_since: float | None = None
    heard_at: float = 0.0  # when it last said anything
    losses: int = 0  # times its process or node was lost since it last got any further
    lost_at_nimg: int = -1  # how far it had come when that was last counted

    @cached_property
    def cell(self) -> dict[str, str]:
        """What verdicts are about, of this trial: its values of the plan's axes."""
        return {axis: str(self.suggestion.params.get(axis, ABSENT)) for axis in self.axes}

    @cached_property
    def place(self) -> tuple[str, ...]:
        """The values of its cell alone."""
        return tuple(self.cell.values())

    @cached_property
    def group(self) -> tuple[str, ...]:
        """The values of the even axes, that it is measured within."""
        return tuple(self.cell[axis] for axis in self.even_axes)

    @property
    def open(self) -> bool:
        """To be run now: never ended, promoted, or only interrupted. One that waits is not."""
        return self.outcome in (None, "interrupted")

    def add_artifacts(self, artifacts: list[dict[str, Any]]) -> None:
        """Files it left, those that are not known: a rung may be said again."""
        known = {artifact["path"] for artifact in self.artifacts}
        self.artifacts += [a for a in artifacts if a["path"] not in known]

    @property
    def protected(self) -> bool:
        return self.suggestion.protected

    @property
    def trained(self) -> bool:
        """Whether there was anything to train: if not, every seed gives the same."""
        return bool(self.suggestion.cost["parameters"] != 0)

    @property
    def devices(self) -> float:
        """GPUs, or cores where there is none, that it keeps busy."""
        train = self.suggestion.train
        each = (self.suggestion.slot or 1.0) if train.device == "cuda" else train.threads
        return float(each * train.workers)
