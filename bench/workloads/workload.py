"""What a workload is: data, task, protocol, and scale presets; and what a task promises.

A task defines what a batch is and evaluates a predictor; the training loop and the sweep know no
more of it. A workload is one file with a `Workload` in it and one line in the table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from bench import doors
from bench.config import TrialConfig
from bench.metrics.throughput import Phase
from bench.train.objective import Batch
from search_spaces import Choices

TABLE = {"echo": "bench.workloads.echo:WORKLOAD"}


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What evaluating gave: metrics by name, the value trials are compared by, pictures."""

    metrics: dict[str, float]
    value: float
    pictures: np.ndarray[Any, Any] | None = None  # uint8 N C *spatial, generated, never real


class Clock(Protocol):
    """Books wall seconds, and the images it is told of, to a phase: train, sample or measure."""

    def phase(self, name: Phase) -> AbstractContextManager[Callable[[int], None]]: ...


class Task(Protocol):
    """One task on one data set. Holds no state of a trial: many trials may use it in turn."""

    def batch(self, samples: Sequence[int], seed: int) -> Batch:
        """The training batch of these global sample numbers."""
        ...

    def evaluate(self, predictor: Any, part: str, clock: Clock) -> Evaluation:
        """Evaluate on `select` (rungs) or, once, on `report` (the end)."""
        ...


@dataclass(frozen=True, kw_only=True)
class Size:
    """One architecture at one scale: its arguments, and channels for each width by name."""

    args: Mapping[str, Any]
    widths: Mapping[str, int]
    lr: Mapping[str, float]  # of the default configuration, by preconditioning


@dataclass(frozen=True, kw_only=True)
class SeedSpread:
    """How far another training seed moves the score: relative standard deviation, on how many
    degrees of freedom it was measured, and by what."""

    rel_sd: float
    df: float
    source: str


@dataclass(frozen=True, kw_only=True)
class Scale:
    """A named preset: sizes, budget, rungs, sample counts. `notes` are shown to the user."""

    name: str
    resolution: int
    every: int  # one frame in so many
    patients: int  # of the simulated set
    frames: int  # a simulated clip
    budget_tflop: float  # training, a trial; 1e12 floating-point operations
    rungs: tuple[float, ...]  # fractions of the budget, rising to 1
    keep: tuple[float, ...]  # share that goes on past each rung but the last
    reports: int  # progress reports over the budget
    warmup_fraction: float
    ema_short_fraction: float  # half-life of the short average, of the budget
    sample_steps: int
    n_select: int
    n_report: int
    n_reference: int
    n_denoise: int
    sizes: Mapping[str, Size]
    choices: Choices
    defaults: Mapping[str, Any]  # parameters of every default configuration
    extractor: str = "randconv"  # what pictures are judged by: a name or "file.py:build"
    seed_spread: SeedSpread | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Workload:
    """A published system as a job for the harness."""

    name: str
    title: str
    source: str  # the document it comes from
    reader: str  # the official layout of its data
    task: str  # "module:class" of the task, or "file.py:class"
    space: str  # its search space's name
    scales: Mapping[str, Scale]
    metric: str = "fd"  # fd_<extractor>; lower is better
    direction: str = "min"
    extra: Mapping[str, Any] = field(default_factory=dict)

    def open_data(self, path: Path | None, scale: Scale, home: Path, group_by: str | None) -> Any:
        """The cached images of `path`, or of the simulated set where there is none."""
        from bench.data.opening import open_data
        from bench.data.simulate_echo import SimulationSize

        return open_data(
            path,
            workload_reader=self.reader,
            resolution=scale.resolution,
            home=home,
            every=scale.every,
            group_by=group_by,
            simulated=SimulationSize(patients=scale.patients, frames=scale.frames),
        )


def load(name: str) -> Workload:
    workload: Workload = doors.load("workload", TABLE, name)
    return workload


def build_task(config: TrialConfig) -> Task:
    """The task of a trial."""
    task: Task = doors.at(load(config.workload).task, "task")(config)
    return task
