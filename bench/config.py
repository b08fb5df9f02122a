"""The one typed description of a trial: data · task · method · train · sample · measure.

Frozen, keyword-only, validated where it enters; unknown keys are errors. `entry_id` digests the
resolved configuration without its seed, `trial_id` adds the seed. Where a file lies is not part of
what a trial is: `data.cache` is left out of both. Each component is handed its own section only.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeVar

from backbones.inputs import Inputs
from bench.errors import BenchError, unknown
from bench.identity import LATE, identity
from bench.identity import by_content as by_content
from bench.identity import canonical as canonical
from bench.identity import digest as digest

T = TypeVar("T")
Args = dict[str, Any]  # keyword arguments of a table's entry; checked by the entry itself
SOLVER_SETTINGS = ("eta",)  # of SampleConfig, that only some samplers read
MAX_SIGMA_REL = 0.28  # of a power-function average: gamma = 0, all weights alike, is 1/sqrt(12)
PLAIN = (bool, int, float, str)  # types of which a value is what it is


def _need(ok: bool, rule: str) -> None:
    if not ok:
        raise BenchError(rule)


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Which images: the digest is the identity, `cache` only says where they lie."""

    name: str
    digest: str
    simulated: bool
    cache: str = ""


@dataclass(frozen=True, kw_only=True)
class TaskConfig:
    """What is asked: the kind of task, and what a network gets and gives for it.

    `args` are the task's own settings, checked by the task. `whole` are the sides of what is
    predicted, where networks are trained on patches of it; none: the sides of `inputs`.
    """

    kind: str  # a name in the table of tasks, or "file.py:Class"
    inputs: Inputs
    data_range: tuple[float, float] = (-1.0, 1.0)
    sigma_data: float = 0.5
    args: Args = field(default_factory=dict)
    whole: tuple[int, ...] = field(default=(), metadata=LATE)

    @property
    def answered(self) -> Inputs:
        """`inputs` with the sides of what is predicted."""
        return dataclasses.replace(self.inputs, spatial=self.whole) if self.whole else self.inputs

    @property
    def answer_patches(self) -> float:
        """How many training patches what is predicted is the size of; 1 without patches."""
        return self.answered.pixels / self.inputs.pixels

    def __post_init__(self) -> None:
        _need(self.sigma_data > 0, f"task.sigma_data must be positive, got {self.sigma_data}")


@dataclass(frozen=True, kw_only=True)
class MethodConfig:
    """How it is answered: diffusion (a preconditioned backbone), direct or classical.

    `backbone` is a network, or the estimator of a classical method; `preconditioning` is a
    diffusion method's, else empty. `settings` are what the method prepared before the trials.
    """

    kind: str = "diffusion"
    backbone: str
    backbone_args: Args = field(default_factory=dict)
    preconditioning: str = ""
    preconditioning_args: Args = field(default_factory=dict)
    settings: Args = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Optimisation. Budget and rungs are in images seen (nimg); the rungs rise to the budget."""

    budget_nimg: int
    rungs_nimg: tuple[int, ...]
    report_nimg: int  # a report at least this often; rungs report besides
    batch_size: int
    micro_batch: int
    optimizer: str
    lr: float
    weight_decay: float = 0.0
    schedule: str = "constant"  # constant | cosine | step
    warmup_fraction: float = 0.05  # of the budget, linear ramp-up
    grad_clip: float = 1.0  # of the global gradient norm; 0 turns it off
    ema_sigma_rel: tuple[float, ...] = (0.05, 0.10)
    ema_short_nimg: int = 512  # half-life of the short average, in images
    snapshots: int = 12  # stored EMA snapshots, see bench.train.snapshots
    precision: str = "float32"  # float32 | bfloat16
    device: str = "cpu"
    threads: int = 1
    workers: int = 1  # processes; each takes batch_size / workers samples of a batch
    # looks without improvement that end training; 0: it never ends early
    patience: int = field(default=0, metadata=LATE)
    # a look at score and pictures this often, beside the rungs; 0: there alone
    look_nimg: int = field(default=0, metadata=LATE)

    def __post_init__(self) -> None:
        _need(self.batch_size > 0, f"train.batch_size must be positive, got {self.batch_size}")
        _need(
            self.workers > 0 and self.batch_size % self.workers == 0,
            f"train.workers {self.workers} must divide batch_size {self.batch_size}",
        )
        share = self.batch_size // self.workers
        _need(
            0 < self.micro_batch <= share and share % self.micro_batch == 0,
            f"train.micro_batch {self.micro_batch} must divide batch_size {self.batch_size}"
            + (f" / workers {self.workers}" if self.workers > 1 else ""),
        )
        _need(
            math.isfinite(self.lr) and self.lr > 0,
            f"train.lr must be positive and finite, got {self.lr}",
        )
        for name in ("grad_clip", "weight_decay", "snapshots", "patience", "look_nimg"):
            value = getattr(self, name)
            _need(value >= 0, f"train.{name} must not be negative, got {value}")
        for name in ("report_nimg", "ema_short_nimg", "threads"):
            value = getattr(self, name)
            _need(value > 0, f"train.{name} must be positive, got {value}")
        ramp = self.warmup_fraction
        _need(0 <= ramp <= 1, f"train.warmup_fraction must be in 0..1, got {ramp}")
        widths = self.ema_sigma_rel
        _need(
            bool(widths) and all(0 < s <= MAX_SIGMA_REL for s in widths),
            f"train.ema_sigma_rel needs widths in 0..{MAX_SIGMA_REL}, got {widths}",
        )
        _need(len(set(widths)) == len(widths), f"train.ema_sigma_rel {widths} repeats a width")
        rungs = self.rungs_nimg
        _need(
            bool(rungs) and list(rungs) == sorted(set(rungs)) and rungs[-1] == self.budget_nimg,
            f"train.rungs_nimg {rungs} must rise strictly to budget_nimg {self.budget_nimg}",
        )
        _need(rungs[0] > 0, f"train.budget_nimg {self.budget_nimg} is too small for a step")
        for rung in rungs:
            _need(
                rung % self.batch_size == 0,
                f"rung {rung} is not a whole number of batches of {self.batch_size}",
            )
        if self.schedule not in ("constant", "cosine", "step"):
            raise unknown("schedule", self.schedule, ("constant", "cosine", "step"))
        if self.precision not in ("float32", "bfloat16"):
            raise unknown("precision", self.precision, ("float32", "bfloat16"))


@dataclass(frozen=True, kw_only=True)
class SampleConfig:
    """How a diffusion method draws: solver, noise levels, guidance, and the weights it draws with.

    `ema` is the relative width of the power-function average that is judged at the end; 0 is the
    network itself, without an average. `clip`: every estimate of the image is brought into the
    data's range before the next step is taken from it, as DDPM's authors sample. `tile`: sides of
    the overlapping tiles in which a network passes over what is predicted; none: all at once.
    """

    sampler: str = "heun"
    steps: int = 18
    grid: str = "edm"  # edm | own
    process: str = "sigma"  # sigma | own: what the solver steps in
    rho: float = 7.0
    S_churn: float = 0.0
    S_tmin: float = 0.0
    S_tmax: float = 1e9  # finite: JSON has no infinity
    S_noise: float = 1.0
    eta: float = field(default=0.0, metadata=LATE)  # a sampler's own: noise in each step, 0..1
    clip: bool = field(default=False, metadata=LATE)
    tile: tuple[int, ...] = field(default=(), metadata=LATE)
    guidance: str = "none"
    guidance_args: Args = field(default_factory=dict)
    ema: float = 0.1
    batch_size: int = 64

    def __post_init__(self) -> None:
        _need(self.steps >= 2, f"sample.steps must be at least 2, got {self.steps}")
        _need(self.batch_size > 0, f"sample.batch_size must be positive, got {self.batch_size}")
        _need(0 <= self.ema <= MAX_SIGMA_REL, f"sample.ema must be in 0..{MAX_SIGMA_REL}")
        if self.grid not in ("edm", "own"):
            raise unknown("grid", self.grid, ("edm", "own"))
        if self.process not in ("sigma", "own"):
            raise unknown("process", self.process, ("sigma", "own"))
        _need(not self.tile or min(self.tile) > 0, f"sample.tile must be positive, {self.tile}")
        _need(0 <= self.eta <= 1, f"sample.eta must be in 0..1, got {self.eta}")

    @property
    def solver_settings(self) -> dict[str, float]:
        """Settings that only some samplers read, where they are not at their default."""
        usual = {f.name: f.default for f in dataclasses.fields(self)}
        return {k: getattr(self, k) for k in SOLVER_SETTINGS if getattr(self, k) != usual[k]}


@dataclass(frozen=True, kw_only=True)
class MeasureConfig:
    """What is measured, and on how many cases; with the data's digest it is the protocol.

    `args` are what the task and its metrics ask for beside (an extractor, sizes of references).
    """

    metrics: tuple[str, ...]  # the first one's value is the score
    n_select: int
    n_report: int
    args: Args = field(default_factory=dict)

    def __post_init__(self) -> None:
        _need(bool(self.metrics), "measure.metrics must name a metric: the first is the score")
        for name in ("n_select", "n_report"):
            _need(getattr(self, name) >= 1, f"measure.{name} must be at least 1")


@dataclass(frozen=True, kw_only=True)
class TrialConfig:
    """One trial, resolved: what is trained, on what, for how long, and how it is measured."""

    workload: str
    scale: str
    seed: int
    data: DataConfig
    task: TaskConfig
    method: MethodConfig
    train: TrainConfig
    sample: SampleConfig
    measure: MeasureConfig
    own_sample: SampleConfig | None = None  # the entry's choice, measured beside the fixed one

    def __post_init__(self) -> None:
        tracked = self.train.ema_sigma_rel
        for name, sample in (("sample", self.sample), ("own_sample", self.own_sample)):
            if sample is not None and sample.ema > 0:
                _need(
                    sample.ema in tracked,
                    f"{name}.ema {sample.ema} is none of train.ema_sigma_rel {tracked}",
                )

    @property
    def entry_id(self) -> str:
        """Digest of the resolved configuration without its seed; 1 and 1.0 are one learning rate.

        A part in a user's own file counts by what the file holds, not by where it lies.

        Raises:
            BenchError: a value is of the wrong type.
        """
        body = identity(self.from_dict(self.to_dict()))
        del body["seed"], body["data"]["cache"]
        if not body["method"]["settings"]:
            del body["method"]["settings"]
        return digest(by_content(body))

    @property
    def trial_id(self) -> str:
        return f"{self.entry_id}-s{self.seed}"

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, body: Mapping[str, Any]) -> TrialConfig:
        return from_dict(cls, body, "trial")


def from_dict(cls: type[T], body: Mapping[str, Any], where: str) -> T:
    """A dataclass from plain JSON values, checked: unknown and missing keys, types, nesting.

    Raises:
        BenchError: naming the key, the value and what was expected.
    """
    if not isinstance(body, Mapping):
        raise BenchError(f"{where} must be a mapping, got {body!r}")
    kind: Any = cls  # mypy does not take a type variable's type for hashable
    hints = _hints(kind)
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]  # T is one
    for key in body:
        if key not in fields:
            raise unknown(f"key of {where}", key, fields)
    for name, f in fields.items():
        required = f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
        if required and name not in body:
            raise BenchError(f"{where}.{name} is missing")
    values = {k: _coerce(hints[k], v, f"{where}.{k}") for k, v in body.items()}
    try:
        return cls(**values)
    except ValueError as error:  # of a leaf's own checks
        raise BenchError(f"{where}: {error}") from error


def part_of(cls: type[T], body: Any, where: str) -> T:
    """A dataclass from a mapping that may hold more than its fields; else as `from_dict`."""
    if not isinstance(body, Mapping):
        raise BenchError(f"{where} must be a mapping, got {body!r}")
    names = {f.name for f in dataclasses.fields(cls)}  # type: ignore[arg-type]  # T is one
    return from_dict(cls, {k: v for k, v in body.items() if k in names}, where)


def like(default: Any, value: Any, where: str) -> Any:
    """A plain value of the kind that `default` has (a word, a whole number, numbers ...).

    Raises:
        BenchError: it is of another.
    """
    if default is None:
        return value
    hint: Any = type(default)
    if isinstance(default, tuple) and default:
        hint = types.GenericAlias(tuple, (type(default[0]), ...))
    return _coerce(hint, value, where)


@lru_cache(maxsize=64)
def _hints(cls: type[Any]) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _coerce(hint: Any, value: Any, where: str) -> Any:
    if type(value) is hint and hint in PLAIN and (hint is not float or math.isfinite(value)):
        return value  # as most values of a journal are
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return from_dict(hint, value, where)
    origin = typing.get_origin(hint)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise BenchError(f"{where} must be a list, got {value!r}")
        item = typing.get_args(hint)
        kinds = [item[0]] * len(value) if item[-1] is Ellipsis else list(item)
        if len(kinds) != len(value):
            raise BenchError(f"{where} must have {len(kinds)} values, got {value!r}")
        return tuple(_coerce(k, v, where) for k, v in zip(kinds, value, strict=True))
    if origin is list:
        if not isinstance(value, list | tuple):
            raise BenchError(f"{where} must be a list, got {value!r}")
        (item,) = typing.get_args(hint)
        return [_coerce(item, v, where) for v in value]
    if origin is dict:
        if not isinstance(value, Mapping):
            raise BenchError(f"{where} must be a mapping, got {value!r}")
        key_hint, item_hint = typing.get_args(hint)
        if item_hint is Any:
            return dict(value)
        return {_key(key_hint, k, where): _coerce(item_hint, v, where) for k, v in value.items()}
    if origin in (typing.Union, types.UnionType):
        return _coerce_one_of(typing.get_args(hint), value, where)
    if hint is Any:
        return value
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        if not math.isfinite(value):
            raise BenchError(f"{where} must be finite, got {value}")
        return float(value)
    wrong_bool = isinstance(value, bool) and hint is not bool
    if wrong_bool or not isinstance(value, hint):
        raise BenchError(f"{where} must be {hint.__name__}, got {value!r}")
    return value


def _coerce_one_of(hints: tuple[Any, ...], value: Any, where: str) -> Any:
    """A value that may be of several types: None, or the first that takes it."""
    if value is None and types.NoneType in hints:
        return None
    refusal: BenchError | None = None
    for hint in hints:
        if hint is not types.NoneType:
            try:
                return _coerce(hint, value, where)
            except BenchError as error:
                refusal = refusal or error
    assert refusal is not None
    raise refusal


def _key(hint: Any, key: Any, where: str) -> Any:
    """A mapping's key: JSON has texts alone, so that a whole number is read from one."""
    if hint is int and isinstance(key, str) and key.isdigit():
        return int(key)
    return _coerce(hint, key, where)
