"""The one typed description of a trial: data · task · method · train · sample · measure.

Frozen, keyword-only, validated where it enters; unknown keys are errors. `entry_id` digests the
resolved configuration without its seed, `trial_id` adds the seed. Where a file lies is not part of
what a trial is: `data.cache` is left out of both. Each component is handed its own section only.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeVar

from bench.errors import BenchError, unknown

T = TypeVar("T")
Scalar = str | int | float | bool
Args = dict[str, Any]  # keyword arguments of a table's entry; checked by the entry itself
MAX_SIGMA_REL = 0.28  # of a power-function average: gamma = 0, all weights alike, is 1/sqrt(12)


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
    """What is asked: the kind of task, its spatial dimensions (2D or 3D), channels, condition."""

    kind: str
    spatial: tuple[int, ...]
    channels: int
    n_classes: int = 0
    data_range: tuple[float, float] = (-1.0, 1.0)
    sigma_data: float = 0.5

    def __post_init__(self) -> None:
        _need(len(self.spatial) in (2, 3), f"task.spatial must be 2D or 3D, got {self.spatial}")
        _need(min(self.spatial) > 0, f"task.spatial must be positive, got {self.spatial}")
        _need(self.channels > 0, f"task.channels must be positive, got {self.channels}")
        _need(self.sigma_data > 0, f"task.sigma_data must be positive, got {self.sigma_data}")


@dataclass(frozen=True, kw_only=True)
class MethodConfig:
    """How it is answered: diffusion (a preconditioned backbone), direct or classical."""

    kind: str = "diffusion"
    backbone: str
    backbone_args: Args = field(default_factory=dict)
    preconditioning: str = "edm"
    preconditioning_args: Args = field(default_factory=dict)


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
    snapshots: int = 3  # stored EMA snapshots past the first rung
    precision: str = "float32"  # float32 | bfloat16
    device: str = "cpu"
    threads: int = 1
    workers: int = 1  # processes; each takes batch_size / workers samples of a batch

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
        for name in ("grad_clip", "weight_decay", "snapshots"):
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
    """How pictures are drawn; fixed for the verdict, the same for all."""

    sampler: str = "heun"
    steps: int = 18
    grid: str = "edm"  # edm | own
    rho: float = 7.0
    S_churn: float = 0.0
    S_tmin: float = 0.0
    S_tmax: float = 1e9  # finite: JSON has no infinity
    S_noise: float = 1.0
    batch_size: int = 64
    weights: str = "ema"  # ema (the last power-function average) | net

    def __post_init__(self) -> None:
        _need(self.steps >= 2, f"sample.steps must be at least 2, got {self.steps}")
        _need(self.batch_size > 0, f"sample.batch_size must be positive, got {self.batch_size}")
        if self.grid not in ("edm", "own"):
            raise unknown("grid", self.grid, ("edm", "own"))
        if self.weights not in ("ema", "net"):
            raise unknown("weights", self.weights, ("ema", "net"))


@dataclass(frozen=True, kw_only=True)
class MeasureConfig:
    """What is measured and on how much; with the data's digest it is the protocol."""

    extractor: str = "randconv"
    n_select: int
    n_report: int
    n_reference: int  # real images of a part, at most
    n_denoise: int = 32
    denoise_sigmas: tuple[float, ...] = (0.05, 0.126, 0.315, 0.792, 1.99, 5.0)

    def __post_init__(self) -> None:
        for name in ("n_select", "n_report", "n_reference", "n_denoise"):
            _need(getattr(self, name) >= 2, f"measure.{name} must be at least 2")
        sigmas = self.denoise_sigmas
        _need(
            bool(sigmas) and min(sigmas) > 0,
            f"measure.denoise_sigmas must be positive, got {sigmas}",
        )


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

    @property
    def entry_id(self) -> str:
        """Digest of the resolved configuration without its seed; 1 and 1.0 are one learning rate.

        Raises:
            BenchError: a value is of the wrong type.
        """
        body = self.from_dict(self.to_dict()).to_dict()
        del body["seed"], body["data"]["cache"]
        if body["train"]["workers"] == 1:
            del body["train"]["workers"]  # as before there were several: older sweeps go on
        return digest(body)

    @property
    def trial_id(self) -> str:
        return f"{self.entry_id}-s{self.seed}"

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, body: Mapping[str, Any]) -> TrialConfig:
        return from_dict(cls, body, "trial")


def canonical(body: Any) -> str:
    """JSON with sorted keys: the text a digest is taken of. Tuples read as lists.

    Raises:
        BenchError: a value that JSON does not have.
    """
    try:
        return json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise BenchError(f"a configuration holds plain finite values only: {error}") from error


def digest(body: Any) -> str:
    """The first 16 hex digits of the SHA-256 of the canonical JSON."""
    return hashlib.sha256(canonical(body).encode()).hexdigest()[:16]


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
    return cls(**values)


@lru_cache(maxsize=32)
def _hints(cls: type[Any]) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _coerce(hint: Any, value: Any, where: str) -> Any:
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
    if origin is dict:
        if not isinstance(value, Mapping):
            raise BenchError(f"{where} must be a mapping, got {value!r}")
        return dict(value)
    if origin in (typing.Union, types.UnionType):
        return value
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        if not math.isfinite(value):
            raise BenchError(f"{where} must be finite, got {value}")
        return float(value)
    wrong_bool = isinstance(value, bool) and hint is not bool
    if hint is not Any and (wrong_bool or not isinstance(value, hint)):
        raise BenchError(f"{where} must be {hint.__name__}, got {value!r}")
    return value
