"""What a study is: a question, the trials that answer it, and what they show.

A study is a sweep with a plan of its own. It never runs a trial: `answer` is a generator that asks
for trials (arms: parameters as a search space suggests them, and a seed) and is sent what they
reported; the last thing it does is return its findings. Whoever drives it decides where the trials
run: bench.studies.running does it here, one after another, through bench.run.run_trial.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.config import TrialConfig
from bench.data.cache import CachedImages
from bench.sweep.cost.equal import Equal
from bench.sweep.deciding.resolve import Frame
from bench.workloads.workload import Scale, Workload


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One trial that a study asks for.

    params: as a search space suggests them; what is left out is the cell's default. budget: in
    units of the study's own. data: in place of the study's, where an arm trains on other pictures.
    task, metrics: in place of the workload's, where an arm is asked for something else.
    """

    name: str
    why: str
    params: Mapping[str, Any]
    seed: int
    budget: float = 1.0
    data: CachedImages | None = None
    task: str = ""
    metrics: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Ran:
    """A trial of a study: what it was, how it ended, the last value of all that it measured."""

    arm: Arm
    config: TrialConfig
    outcome: str
    cause: str
    metrics: Mapping[str, float]
    folder: Path  # gone once the study has its findings

    def log(self) -> dict[str, NDArray[Any]] | None:
        """The stability log; None where the trial left none."""
        path = self.folder / "stability_log.npz"
        if not path.exists():
            return None
        with np.load(path) as arrays:
            return {name: arrays[name] for name in arrays.files}


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of the findings: its file is NAME.csv. `shown`: printed too. `source`: what it is
    about, where that is not the setting's data."""

    name: str
    title: str
    columns: tuple[str, ...]
    rows: Sequence[Sequence[Any]]
    shown: bool = True
    source: str = ""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture of the findings: `draw` writes a PNG to the path it is given."""

    name: str
    draw: Callable[[Path], None]


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What a study shows: lines for people, tables, pictures; facts go to study.json."""

    lines: tuple[str, ...]
    tables: tuple[Table, ...]
    pictures: tuple[Picture, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Where a study's trials stand: workload, preset, data, and what all trials share.

    folder: for what a study makes between its trials; gone once it has its findings. at_once:
    trials side by side.
    """

    workload: Workload
    scale: Scale
    data: CachedImages
    frame: Frame
    seed: int
    folder: Path
    at_once: int = 1

    @property
    def label(self) -> str:
        """What every table and picture says of the data."""
        return "SIMULATED data" if self.data.simulated else "real data"


Answer = Generator[tuple[Arm, ...], tuple[Ran, ...], Findings]


class Study(ABC):
    """A question of some workloads. Stateless: all that a run needs is in its Setting."""

    name: ClassVar[str]
    title: ClassVar[str]  # the question, in one line
    workloads: ClassVar[frozenset[str]]  # by name

    @abstractmethod
    def budget(self, scale: Scale) -> Equal | None:
        """What an arm with budget 1 trains for; None: the preset's FLOPs."""

    @abstractmethod
    def answer(self, setting: Setting) -> Answer:
        """Ask for trials as often as needed, then return the findings.

        Raises:
            BenchError: the setting has not what the study needs.
        """
