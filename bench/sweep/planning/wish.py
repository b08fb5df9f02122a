"""What the user asked of a new sweep, checked as far as it can be without data or a device."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.doors import is_outside, weights_of
from bench.errors import BenchError, unknown
from bench.sweep.cost import budget
from bench.sweep.cost.equal import Equal
from bench.sweep.planning.settings import given_parameters

DEFAULT_TRIALS = 64  # where neither trials nor a budget are given
SEARCHES = ("tpe", "random", "stagewise")
HALVED = ("tpe",)  # those of which early rungs decide who goes on


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What the user asked for. `reading` are fields of bench.data.opening.Reading; `settings`
    are KEY=VALUE texts, parameters for all trials; `backbones` stand in place of the workload's;
    `metrics` are measured beside its own.
    """

    workload: str
    trials: int | None  # None: as many as the sweep's budget allows
    scale: str | None = None
    data: Path | None = None
    reading: Mapping[str, Any] = field(default_factory=dict)
    space: str | None = None
    search: str = "tpe"
    seed: int = 0
    settings: tuple[str, ...] = ()
    backbones: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    budget: float | None = None  # of each trial, in the unit of `equal`
    equal: str = "flops"
    prune: bool = True
    end_only: bool = False  # trials are judged at their end alone: a study compares no rungs
    table: bool = False  # two trials of each cell train to the end
    concurrency: int | None = None
    wall_sec: float | None = None  # the sweep's budgets, together or alone
    device_hours: float | None = None
    workers: int = 1
    pack: bool = False
    storage: str | None = None  # URL or path that checkpoints and the journal are mirrored in
    address: str | None = None  # of a Ray cluster; None: Ray on this machine
    time_afresh: bool = False  # not by the timings that are kept of this machine

    def __post_init__(self) -> None:
        object.__setattr__(self, "workload", whole_place(self.workload))
        if self.space is not None:
            object.__setattr__(self, "space", whole_place(self.space))
        object.__setattr__(self, "backbones", tuple(whole_place(b) for b in self.backbones))
        object.__setattr__(self, "metrics", tuple(whole_place(m) for m in self.metrics))
        for metric in self.metrics:
            if self.metrics.count(metric) > 1:
                raise BenchError(f"--metric {metric} is given twice; give it once")
        if self.storage is not None and re.match(r"\w+(//|:/[^/])", self.storage):
            raise BenchError(
                f"--storage {self.storage}: neither a path nor a URL such as s3://bucket/bench"
            )
        if self.storage is not None and "://" not in self.storage:
            object.__setattr__(self, "storage", str(Path(self.storage).expanduser().resolve()))
        if self.trials is None and self.wall_sec is None and self.device_hours is None:
            object.__setattr__(self, "trials", DEFAULT_TRIALS)
        if self.trials is not None and self.trials < 1:
            raise BenchError(f"--trials must be at least 1, got {self.trials}")
        Equal(kind=self.equal, amount=1.0 if self.budget is None else self.budget)
        if self.search not in SEARCHES:
            raise unknown("search", self.search, SEARCHES)
        if self.concurrency is not None and self.concurrency < 1:
            raise BenchError(f"--concurrency must be at least 1, got {self.concurrency}")
        if self.workers < 1:
            raise BenchError(f"--workers-per-trial must be at least 1, got {self.workers}")
        if self.pack and self.workers > 1:
            raise BenchError("--pack shares a GPU, --workers-per-trial takes several; choose one")
        budget.make(self.wall_sec, self.device_hours)
        given_parameters(self.settings)

    @property
    def fixed(self) -> dict[str, Any]:
        """The parameters that are given for all trials."""
        given = given_parameters(self.settings)
        return {k: whole_place(v) if isinstance(v, str) else v for k, v in given.items()}


def whole_place(name: str) -> str:
    """A user's file by its whole path, since a resume may start from another folder; a name of a
    table as it is. So with weights behind an @, and with a file behind a name ("fd:FILE.py")."""
    weights = weights_of(name)
    if weights is not None:
        return f"{name.partition('@')[0]}@{weights.expanduser().resolve()}"
    head, colon, more = name.partition(":")
    if head.isidentifier() and is_outside(more):
        return f"{head}:{whole_place(more)}"
    if not is_outside(name):
        return name
    path, colon, attr = name.partition(":")
    return f"{Path(path).expanduser().resolve()}{colon}{attr}"
