"""The row: everything a board knows about one trial. Plain values, JSON in and out.

One row per trial, whatever became of it: a trial that failed is a row with a cause, never a
missing row. Rows of one `entry_id` are the same configuration trained from other seeds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

ORIGINS = ("default", "cell", "tpe", "random", "confirm")
OUTCOMES = (
    "completed",
    "pruned",
    "diverged",
    "out-of-memory",
    "failed",
    "interrupted",
    "running",
)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One trial.

    `score` is the protocol's metric on the `report` part, drawn once at the end, and `score_se`
    its sampling standard error; `select` is the same metric on the part that pruning and
    suggestion see. `seed_spread` is the workload's measured relative spread of the score between
    training seeds: `{"rel_sd": float, "source": str}`, with `"df"` where it is known.
    `notes` say what went otherwise than planned in a trial that went on. Texts name no places.
    Shares lie in [0, 1]. Raises ValueError when a value breaks these rules.
    """

    sweep: str
    workload: str
    scale: str
    trial: int
    trial_id: str
    entry_id: str
    seed: int
    architecture: str
    preconditioning: str
    label: str
    origin: str
    protected: bool
    outcome: str
    cause: str
    params: dict[str, Any]
    protocol: dict[str, Any]
    protocol_digest: str
    data_name: str
    data_digest: str
    data_simulated: bool
    score: float | None = None
    score_se: float | None = None
    select: float | None = None
    train_distance: float | None = None
    denoise_error: float | None = None
    loss_rel_spread: float | None = None
    spikes_per_1k: float | None = None
    clipped_share: float | None = None
    nonfinite_share: float | None = None
    train_img_per_sec: float | None = None
    sample_img_per_sec: float | None = None
    sample_sec_per_img: float | None = None
    peak_mem_gb: float | None = None
    params_m: float | None = None
    gflops_per_img: float | None = None
    nfe: int | None = None
    kimg: float | None = None
    wall_sec: float | None = None
    train_sec: float | None = None
    sample_sec: float | None = None
    measure_sec: float | None = None
    rungs: list[dict[str, Any]] = field(default_factory=list)
    seed_spread: dict[str, Any] | None = None
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        where = f"row of trial {self.trial}"
        if self.outcome not in OUTCOMES:
            raise ValueError(f"{where}: outcome {self.outcome!r} is none of {', '.join(OUTCOMES)}")
        if self.origin not in ORIGINS:
            raise ValueError(f"{where}: origin {self.origin!r} is none of {', '.join(ORIGINS)}")
        if self.outcome == "completed" and self.score is None:
            raise ValueError(f"{where}: completed without a score; a completed trial has one")
        for spec in fields(self):
            value = getattr(self, spec.name)
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"{where}: {spec.name} is {value}; it must be finite or absent")
        if self.score_se is not None and self.score_se < 0:
            raise ValueError(f"{where}: score_se is {self.score_se}; a standard error is >= 0")
        if self.seed_spread is not None and not self.seed_spread.get("rel_sd", -1) >= 0:
            raise ValueError(f"{where}: seed_spread needs rel_sd >= 0, got {self.seed_spread}")
        for rung in self.rungs:
            numbers = [rung.get("fraction"), rung.get("value")]
            if not all(isinstance(n, int | float) and math.isfinite(n) for n in numbers):
                raise ValueError(f"{where}: a rung needs a finite fraction and value, got {rung}")
        if self.protocol.get("direction", "min") not in ("min", "max"):
            raise ValueError(f"{where}: direction {self.protocol['direction']!r} is not min or max")

    def to_dict(self) -> dict[str, Any]:
        """The row as JSON-able values, in field order."""
        return {spec.name: _copy(getattr(self, spec.name)) for spec in fields(self)}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Row:
        """The row of a mapping; unknown, missing and mistyped keys are a ValueError by name."""
        for key in record:
            if key not in _TYPES:
                near = get_close_matches(key, _TYPES, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise ValueError(f"unknown key {key!r} in a leaderboard row{hint}")
        missing = [name for name in _REQUIRED if name not in record]
        if missing:
            raise ValueError(f"a leaderboard row lacks {', '.join(missing)}")
        return cls(**{key: _checked(key, value) for key, value in record.items()})


_TYPES: dict[str, Any] = get_type_hints(Row)
_REQUIRED = [spec.name for spec in fields(Row)][: list(_TYPES).index("score")]


def _checked(name: str, value: object) -> Any:
    """The value in its field's type; a whole number may stand for a float."""
    hint = _TYPES[name]
    options = get_args(hint) if get_origin(hint) is UnionType else (hint,)
    for option in options:
        plain = get_origin(option) or option
        if plain is float and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        if plain is int and isinstance(value, bool):
            continue
        if isinstance(value, plain):
            return _copy(value)
    wanted = " or ".join(
        "null" if o is NoneType else getattr(get_origin(o) or o, "__name__", str(o))
        for o in options
    )
    raise ValueError(f"{name} in a leaderboard row is {value!r}; it must be {wanted}")


def _copy(value: Any) -> Any:
    """Containers copied, so that a frozen row shares none with its writer or its readers."""
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_copy(item) for item in value]
    return value
