"""What a study is: a question, the trials that answer it, and what they show.

A study is a sweep with a plan of its own. It never runs a trial: `answer` is a generator that asks
for trials (arms: parameters as a search space suggests them, and a seed) and is sent what they
reported; the last thing it does is return its findings. bench.studies.running drives it through
the sweep engine: its arms are in the sweep's plan, its trials on Ray, in the journal and in MLflow.

A study that was stopped goes on: it is asked from its start again, and what it asked for before is
answered from the journal. So `answer` must ask the same again, given the same answers: no clock, no
randomness but what is keyed by the seed. What takes long between its trials is kept (`Kept`).
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.config import TrialConfig
from bench.data.cache import CachedImages
from bench.errors import BenchError
from bench.files import whole
from bench.sweep.cost.equal import Equal
from bench.sweep.deciding.resolve import Frame
from bench.sweep.planning.measuring import USUAL
from bench.tasks.task import known_settings
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
    folder: Path  # where its files are
    nimg: int  # images it had trained on

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
    """A picture of the findings: `draw` writes a PNG to the path it is given. real: it shows
    pictures that are made of the data's own."""

    name: str
    draw: Callable[[Path], None]
    real: bool = False


HOLDS, FAILS, OPEN = "holds here", "does not hold here", "cannot be told here"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What the document says, what was found of it here (HOLDS, FAILS or OPEN), and by what."""

    text: str
    verdict: str
    evidence: str


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What a study shows: lines for people, tables, pictures, what it says of the document's
    claims; facts go to study.json."""

    lines: tuple[str, ...]
    tables: tuple[Table, ...]
    pictures: tuple[Picture, ...]
    claims: tuple[Claim, ...] = ()
    pages: tuple[Picture, ...] = ()  # other files, by their whole names
    facts: Mapping[str, Any] = field(default_factory=dict)


def not_at_another_size(size: tuple[int, int]) -> CachedImages:
    """Where the pictures cannot be read again."""
    raise BenchError(f"the pictures cannot be read again at {size[0]} x {size[1]}")


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Where a study's trials stand: workload, preset, data, and what all trials share.

    folder: for what a study makes between its trials. findings: where all studies' findings are.
    seeds: how many the user wants of each arm,
    where the study trains from several; None: as it likes. at_size: the same pictures, read again
    in another size. of: the trial that the user named with --of, in place of one of its own. say: a
    line to the user.
    """

    workload: Workload
    scale: Scale
    data: CachedImages
    frame: Frame
    seed: int
    folder: Path
    findings: Path = Path()
    seeds: int | None = None
    at_size: Callable[[tuple[int, int]], CachedImages] = not_at_another_size
    of: Ran | None = None
    say: Callable[[str], None] = lambda line: None

    @cached_property
    def kept(self) -> Kept:
        """What was worked out between trials, by this run of the study or one before."""
        return Kept(self.folder)

    @property
    def measuring(self) -> dict[str, Any]:
        """The settings of what is measured (extractor, n_reference ...), the usual ones too."""
        return {"extractor": USUAL, **known_settings(self.frame.metrics), **self.frame.measure.args}

    @property
    def label(self) -> str:
        """What every table and picture says of the data."""
        return "SIMULATED data" if self.data.simulated else "real data"


def need_subjects(data: CachedImages, part: str, fewest: int) -> None:
    """BenchError where a part ("": all of the data) has fewer subjects than a study divides."""
    rows = data.parts[part] if part else np.arange(len(data.images))
    there = len(np.unique(data.subject[rows]))
    if there < fewest:
        of = f"the {part} part of {data.name}" if part else data.name
        raise BenchError(f"{of} has {there} subjects, and this study needs {fewest}")


class Kept:
    """Results that take long, in a folder: worked out once, whoever was killed in between."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def numbers(self, key: str, make: Callable[[], Any]) -> Any:
        """What `make` gives, as JSON has it."""
        path = self._folder / f"{key}.json"
        if not path.exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            with whole(path) as part:
                part.write_text(json.dumps(make()))
        return json.loads(path.read_text())

    def array(self, key: str, make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        """The array that `make` gives."""
        path = self._folder / f"{key}.npy"
        if not path.exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            with whole(path) as part, part.open("wb") as file:
                np.save(file, make(), allow_pickle=False)
        return np.asarray(np.load(path, allow_pickle=False))


Answer = Generator[tuple[Arm, ...], tuple[Ran, ...], Findings]


class Study(ABC):
    """A question of some workloads. Stateless: all that a run needs is in its Setting.

    equal: what its arms have alike where neither `budget` nor the user says so. settings: what all
    its arms have (KEY=VALUE, as --set takes them), which the user's --set may change. of_network:
    it is about one trained network (bench.studies.one_network), which may be a sweep's.
    """

    name: ClassVar[str]
    title: ClassVar[str]  # the question, in one line
    workloads: ClassVar[frozenset[str]]  # by name
    equal: ClassVar[str] = "flops"
    settings: ClassVar[tuple[str, ...]] = ()
    of_network: ClassVar[bool] = False

    def budget(self, scale: Scale) -> Equal | None:
        """What an arm with budget 1 trains for; None: the preset's FLOPs. The user may ask for
        another kind or amount."""
        return None

    @abstractmethod
    def answer(self, setting: Setting) -> Answer:
        """Ask for trials as often as needed, then return the findings.

        Raises:
            BenchError: the setting has not what the study needs.
        """
