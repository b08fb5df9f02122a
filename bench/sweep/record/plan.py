"""The plan of a sweep: the journal's first record, typed. All that a resume or a board needs.

Plain values throughout, so that it is written to the journal and read back equal. What only one
room of the sweep understands (the forecast, the device as it was found) stays a mapping.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from bench.config import DataConfig, TaskConfig, from_dict, part_of
from bench.errors import BenchError
from leaderboards.measures import Measure
from leaderboards.references import Reference

VERSION = 3  # of the journal's records


@dataclass(frozen=True, kw_only=True)
class SharedFrame:
    """What all trials of a sweep share, as the plan keeps it. prepared: of each method that was,
    the settings it then had."""

    data: DataConfig
    task: TaskConfig
    device: str  # cpu | cuda
    precision: str
    threads: int
    prepared: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class SweepBudget:
    """What a sweep may spend in all; None: no such limit."""

    wall_sec: float | None = None
    device_sec: float | None = None

    @property
    def limited(self) -> bool:
        return bool(self.wall_sec or self.device_sec)


@dataclass(frozen=True, kw_only=True)
class RaceRules:
    """When a race on new seeds ends. seeds: at most so many of an entry. within: those left are
    equivalent if none is further behind the best: a share on the ratio scale, else in the score's
    unit; None: that never ends it."""

    seeds: int
    within: float | None = None


@dataclass(frozen=True, kw_only=True)
class _DataNamed:
    """What a list or a board says of the data."""

    name: str
    digest: str
    simulated: bool
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _DeviceNamed:
    """What a board says of the machine."""

    text: str


@dataclass(frozen=True, kw_only=True)
class _Arm:
    """A trial that a study asks for: its resolved configuration, and in what it is not to be ranked
    with the sweep's own protocol (apart)."""

    number: int
    name: str
    params: dict[str, Any]
    config: dict[str, Any]
    apart: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class _Confirmed:
    """A request for new seeds of a trial's entry."""

    number: int
    of: int


def rise(values: Sequence[float]) -> bool:
    """Whether there are some, positive and each above the one before."""
    pairs = zip((0, *values), values, strict=False)
    return bool(values) and all(low < high for low, high in pairs)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A sweep, decided.

    cell_axes, cells: the parameters that verdicts are about, and every combination the space
        offers. defaults: the default configuration of each cell. fixed: parameters that the user
        gave for all trials. rungs, keep: fractions of the budget, and the share that goes on past
        each but the last. table: two trials of each cell train to the end, so that the table of
        cells is of the whole budget. equal: what each trial may spend (see bench.sweep.cost.equal).
    score, measures: what trials are compared by, and all that is measured of them. protocol: what
        must match before two scores are ranked together.
    confirm: trials asked for on new seeds, {"number", "of"}. given_up: trials left open for good.
    race: the rules by which more of them are asked for; None: none are.
    study: the question whose trials these are, as it was asked; empty: none is. arms: the trials
        it asked for so far.
    """

    sweep: str
    workload: str
    workload_door: str  # what it is loaded by: its name, or a user's "file.py:NAME"
    scale: str
    scale_digest: str
    trials: int | None  # None: as many as the budget allows
    seed: int
    space: str
    space_digest: str
    search: str  # tpe | random | stagewise
    startup_trials: int
    prune: bool
    rungs: tuple[float, ...]
    keep: tuple[float, ...]
    cell_axes: tuple[str, ...]
    cells: tuple[dict[str, str], ...]
    defaults: tuple[dict[str, Any], ...]
    fixed: dict[str, Any]
    backbones: tuple[str, ...]  # in place of the workload's; empty: its own
    equal: dict[str, Any]
    concurrency: int
    fixed_concurrency: bool
    workers: int
    budget: SweepBudget
    frame: SharedFrame
    data: dict[str, Any]
    score: Measure
    measures: tuple[Measure, ...]
    protocol: dict[str, Any]
    protocol_digest: str
    device: dict[str, Any]
    versions: dict[str, str]
    notes: tuple[str, ...] = ()
    confirm: tuple[dict[str, int], ...] = ()
    given_up: tuple[int, ...] = ()
    race: RaceRules | None = None
    memory_gb: float | None = None  # what a trial may use; None: not known
    device_gb: float | None = None
    pack: int | None = None  # GPUs that trials are packed on; None: they are not
    storage: str | None = None
    address: str | None = None
    metrics: tuple[str, ...] = ()  # that the user asked for beside the workload's own
    table: bool = True
    even_axes: tuple[str, ...] = ()  # of cell_axes: each combination of values gets equally many
    forecast: dict[str, Any] = field(default_factory=dict)
    references: tuple[Reference, ...] = ()  # rows without a rank
    study: dict[str, Any] = field(default_factory=dict)
    arms: tuple[dict[str, Any], ...] = ()
    t: float = 0.0

    def __post_init__(self) -> None:
        part_of(_DataNamed, self.data, "plan.data")
        part_of(_DeviceNamed, self.device, "plan.device")
        for asked in self.confirm:
            part_of(_Confirmed, asked, "plan.confirm")
        for arm in self.arms:
            part_of(_Arm, arm, "plan.arms")
        score = self.score
        compared_by = {"metric": score.key, "direction": score.direction}
        compared_by |= {"scale": score.scale, "unit": score.unit}
        for key, value in compared_by.items():
            if self.protocol.get(key) != value:
                raise BenchError(f"plan.protocol.{key} is not the score's, which is {value!r}")
        if not rise(self.rungs):
            raise BenchError(f"plan.rungs must be positive and rise, got {self.rungs}")
        if len(self.keep) != self.last_rung or not all(0 < share <= 1 for share in self.keep):
            raise BenchError(f"plan.keep must be a share of each rung but the last: {self.keep}")

    @property
    def last_rung(self) -> int:
        return len(self.rungs) - 1

    @property
    def cell_rung(self) -> int:
        """The rung that two trials of each cell reach whatever they report."""
        return self.last_rung if self.table else min(1, self.last_rung)

    @property
    def on_gpu(self) -> bool:
        return self.frame.device == "cuda"

    def body(self) -> dict[str, Any]:
        """The plan as a record's body: the journal gives the time; what a race or a study has is
        written where there is one."""
        absent = {key for key in ("race", "study", "arms") if not getattr(self, key)} | {"t"}
        return {key: value for key, value in self.to_dict().items() if key not in absent}

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def extended(self, changes: Mapping[str, Any]) -> Plan:
        """The plan with some fields anew, as an "extend" record has them.

        Raises:
            BenchError: an unknown field or a value of the wrong type.
        """
        return from_dict(Plan, {**self.to_dict(), **changes}, "plan")
