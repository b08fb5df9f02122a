"""The records of a journal, typed: one reader for all of them, and one place that knows a version.

A record is a line of JSON with its kind, its place n, its time t and a body. Whatever is wrong in
one (no record at all, a missing field, a value of the wrong type, a trial that nobody suggested)
is a BenchError that names the record.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from bench.config import from_dict, part_of
from bench.errors import BenchError
from bench.sweep.record.plan import VERSION, Plan, rise
from leaderboards.rows import ORIGINS

ENVELOPE = ("kind", "n", "version")


@dataclass(frozen=True, kw_only=True)
class Extension:
    """More was asked of the same sweep: fields of the plan, anew."""

    t: float
    plan: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Session:
    """A driver opened or closed the sweep."""

    t: float
    event: str  # open | close
    host: str = ""
    pid: int = 0
    cause: str = ""


@dataclass(frozen=True, kw_only=True)
class TrainShape:
    """How far a trial is to train, and on how much of the machine."""

    rungs_nimg: tuple[int, ...]
    device: str
    threads: int
    workers: int = 1

    def __post_init__(self) -> None:
        if not rise(self.rungs_nimg):
            raise BenchError(f"rungs_nimg must be positive and rise, got {self.rungs_nimg}")


@dataclass(frozen=True, kw_only=True)
class _Price:
    """What a board says of a network's size."""

    parameters: float
    forward_flops: float


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """A trial, decided: its parameters, its resolved configuration, what it should take."""

    t: float
    trial: int
    trial_id: str
    entry_id: str
    seed: int
    label: str
    origin: str
    protected: bool
    params: dict[str, Any]
    distributions: dict[str, str]
    cost: dict[str, Any]
    config: dict[str, Any]
    predicted_sec: float | None = None
    predicted_gb: float | None = None  # at the trial's peak, with its process
    predicted_training_gb: float | None = None  # at the peak of training alone
    slot: float | None = None  # share of a GPU
    unfit: str | None = None  # why it cannot be launched
    apart: dict[str, Any] = field(default_factory=dict)  # in what its protocol is not the plan's
    stage: str = ""  # of a stagewise search: the axis it varies, and the round

    def __post_init__(self) -> None:
        if self.origin not in ORIGINS:
            raise BenchError(f"origin {self.origin!r} is none of {', '.join(ORIGINS)}")
        part_of(_Price, self.cost, "suggest record.cost")
        _ = self.train

    @cached_property
    def train(self) -> TrainShape:
        """Of its configuration, what a history is read by."""
        return part_of(TrainShape, self.config.get("train"), "suggest record.config.train")


@dataclass(frozen=True, kw_only=True)
class Start:
    """A trial's process began to run it."""

    t: float
    trial: int
    host: str
    pid: int


@dataclass(frozen=True, kw_only=True)
class TrialReport:
    """What a trial reported (bench.run.Report)."""

    t: float
    trial: int
    phase: str
    nimg: int
    metrics: dict[str, float]
    seconds: dict[str, float]
    rung: int | None = None
    value: float | None = None
    outcome: str | None = None
    cause: str = ""
    notes: list[str] = field(default_factory=list)
    artifacts: list[dict[str, Any]] = field(default_factory=list)
    left_out: dict[str, list[float]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a trial. `lost`: its process went, and it goes on elsewhere."""

    t: float
    trial: int
    outcome: str
    cause: str
    lost: bool = False


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """How a completed trial may be sampled better, found after its end: numbers of the choice
    ("tune/..."), what it is in words, and files in the trial's folder."""

    t: float
    trial: int
    text: str
    metrics: dict[str, float]
    artifacts: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a study found: lines for people, and its files in the folder of its findings."""

    t: float
    lines: list[str]
    artifacts: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Promotion:
    """A trial that waited at a rung goes on from there."""

    t: float
    trial: int
    rung: int


@dataclass(frozen=True, kw_only=True)
class End:
    """The sweep is complete, or its budget is spent."""

    t: float
    summary: dict[str, Any]


OfTrial = Suggestion | Start | Promotion | TrialReport | Outcome | Tuned
Body = Plan | Extension | Session | OfTrial | Found | End
KINDS: dict[str, type[Any]] = {
    "plan": Plan,
    "extend": Extension,
    "session": Session,
    "suggest": Suggestion,
    "start": Start,
    "report": TrialReport,
    "outcome": Outcome,
    "promote": Promotion,
    "tuned": Tuned,
    "found": Found,
    "end": End,
}


def typed(record: Any) -> Body:
    """The body of a record.

    Raises:
        BenchError: it is none.
    """
    if not isinstance(record, Mapping):
        raise BenchError(f"a journal's record must be a mapping, got {type(record).__name__}")
    version = record.get("version", VERSION)
    if version != VERSION:
        raise BenchError(version_text(version))
    kind = record.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise BenchError(f"a journal has no records of kind {kind!r}")
    body = {key: value for key, value in record.items() if key not in ENVELOPE}
    return from_dict(KINDS[kind], body, f"{kind} record")  # type: ignore[no-any-return]  # of KINDS


def version_text(version: object) -> str:
    """What to do with a journal of another version."""
    newer = isinstance(version, int) and version > VERSION
    what = "a newer bench; upgrade bench" if newer else "an older bench; go on with that one"
    return f"written in format {version!r} (this one is {VERSION}) by {what}"
