"""What a workload is: data, task, and scale presets. One file with a Workload, and one line.

A workload names its task and its reader; what the task is and how it is judged is the task's
(bench.tasks.task), what may vary is the space's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from backbones.sizes import Size
from bench.data.cache import CachedImages
from bench.data.opening import Simulation, open_data
from bench.data.reading import Reading
from bench.doors import Family
from bench.errors import BenchError, unknown
from bench.networks import load as load_network
from search_spaces import Choices

WORKLOADS = Family(
    kind="workload",
    table={
        "birds": "bench.workloads.birds:WORKLOAD",
        "brats": "bench.workloads.brats:WORKLOAD",
        "chexpert": "bench.workloads.chexpert:WORKLOAD",
        "chexpert_generate": "bench.workloads.chexpert_generate:WORKLOAD",
        "echo": "bench.workloads.echo:WORKLOAD",
    },
)

# Rungs that spread a budget widely, for many trials of which few are trained to the end.
WIDE, QUARTERS = (1 / 64, 1 / 16, 1 / 4, 1.0), (0.25, 0.25, 0.25)


@dataclass(frozen=True, kw_only=True)
class Scale:
    """A named preset: what every task has. `notes` are shown to the user.

    data: fields of Reading (size, every ...). measure: settings of the metrics. simulated: handed
    to the workload's `simulation`, where it has one. methods: settings of the methods that prepare
    something before the trials, by method.
    """

    name: str
    data: Mapping[str, Any]
    simulated: Mapping[str, Any] = field(default_factory=dict)
    budget_tflop: float  # training, a trial; 1e12 floating-point operations
    rungs: tuple[float, ...]  # fractions of the budget, rising to 1
    keep: tuple[float, ...]  # share that goes on past each rung but the last
    reports: int  # progress reports over the budget
    warmup_fraction: float
    ema_short_fraction: float  # half-life of the short average, of the budget
    n_select: int  # cases evaluated at a rung
    n_report: int  # and at the end
    sample: Mapping[str, Any] = field(default_factory=dict)  # fields of SampleConfig
    measure: Mapping[str, Any] = field(default_factory=dict)
    methods: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    choices: Choices
    defaults: Mapping[str, Any]  # parameters of every default configuration
    # of a default configuration, for optimizers that take another than Adam
    optimizer_lr: Mapping[str, float] = field(default_factory=dict)
    sizes: Mapping[str, Size] = field(default_factory=dict)  # in place of an architecture's own
    notes: tuple[str, ...] = ()

    def size(self, architecture: str) -> Size:
        """The size of an architecture at this scale: the workload's, else the architecture's own,
        else (of a user's network) its defaults.

        Raises:
            BenchError: the architecture is unknown.
        """
        if architecture in self.sizes:
            return self.sizes[architecture]
        sizes = load_network(architecture).SIZES
        return sizes.get(self.name, Size(args={}, widths={"default": {}}, lr={}))


@dataclass(frozen=True, kw_only=True)
class Workload:
    """A published system as a job for the harness.

    task: a name in the table of tasks, or "file.py:Class". metrics: names, the first is the
    score. simulation: the settings of a scale's `simulated` -> the set that is drawn where the
    user has no data; without one, data must be given. cell_axes: the parameters that verdicts are
    about; a space suggests them by name. even_axes: those of cell_axes whose values are tuned with
    equally many trials each, whichever leads (rivals of another kind). asks_of: keys of measures
    that the document's question is about: their columns stay on a board where the screen is
    narrow. space: a name, or "file.py:function". tasks: what else is asked of its data, each a
    workload of its own: a word for --task -> that workload's name, or "file.py:NAME". fixed:
    parameters that all trials have, as if the user had given them (`--set` changes them).
    """

    name: str
    title: str
    source: str  # the document it comes from
    reader: str  # the official layout of its data
    task: str
    metrics: tuple[str, ...]
    space: str
    scales: Mapping[str, Scale]
    simulation: Callable[..., Simulation] | None = None
    cell_axes: tuple[str, ...] = ("architecture", "preconditioning")
    tasks: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    even_axes: tuple[str, ...] = ()
    asks_of: tuple[str, ...] = ()

    def scale(self, name: str) -> Scale:
        """A preset by name.

        Raises:
            BenchError: there is none of that name.
        """
        if name not in self.scales:
            raise unknown(f"scale of {self.name}", name, self.scales)
        return self.scales[name]

    def open_data(
        self, path: Path | None, scale: Scale, home: Path, given: Mapping[str, Any]
    ) -> CachedImages:
        """The cached data of `path`, or of the simulated set where there is none.

        `given` are the fields of Reading that the user states.

        Raises:
            BenchError: data or settings that cannot be used.
        """
        if path is None and given:
            options = ", ".join(f"--{key.replace('_', '-')}" for key in given)
            raise BenchError(f"{options} is about your own data; give it with --data")
        if path is None and self.simulation is None:
            raise BenchError(f"{self.name} has no simulated data; give your own with --data")
        return open_data(
            path,
            Reading(**{**scale.data, **given}),
            workload_reader=self.reader,
            home=home,
            simulated=self.simulation(**scale.simulated) if self.simulation else None,
            official_parts=given.get("parts") == "official",
        )


def load(name: str) -> Workload:
    """A workload by name, or of a user's file.

    Raises:
        BenchError: there is none of that name, or what has that name is no workload.
    """
    workload = WORKLOADS.load(name)
    if not isinstance(workload, Workload):
        raise BenchError(f"{name} is no workload; give the name of a Workload in that file")
    return workload


def for_task(name: str, task: str | None) -> str:
    """The name of the workload that asks `task` of the data of workload `name`; its own task, and
    None, are that workload itself.

    Raises:
        BenchError: nobody asks that of these data.
    """
    workload = load(name)
    if task is None or task == workload.task:
        return name
    if task not in workload.tasks:
        near = get_close_matches(task, (workload.task, *workload.tasks), n=1, cutoff=0.6)
        others = [f"{key} ({load(place).title})" for key, place in workload.tasks.items()]
        own = f"{workload.task} ({workload.title}; the one without --task)"
        raise BenchError(
            f"unknown task of {workload.name} {task!r}; "
            + (f"did you mean {near[0]!r}? " if near else "")
            + f"it has {', '.join((own, *others))}"
        )
    return workload.tasks[task]
