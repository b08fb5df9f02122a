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

from leaderboards.measures import Measure

ORIGINS = ("default", "cell", "tpe", "random", "stage", "confirm", "study")
OUTCOMES = (
    "completed",
    "pruned",
    "diverged",
    "out-of-memory",
    "failed",
    "waiting",
    "interrupted",
    "running",
)
ON_ITS_WAY = ("waiting", "interrupted", "running")  # outcomes of trials that may go on


ABSENT = "-"  # of a cell's axis that a trial does not have


@dataclass(frozen=True, kw_only=True)
class Row:
    """One trial.

    cell: what verdicts are about, by axis and in order ({"architecture": "adm", ...}).
    protocol: what must match before two scores are ranked together; it holds the score's "metric",
        "direction" ("lower" or "higher"), and "scale" ("ratio" or "difference") and "unit".
    score: the protocol's metric on the `report` part, drawn once at the end; `score_se` is its
        sampling standard error; `select` the same metric on the part that pruning and suggestion
        see.
    values: everything else that was measured, by the key of its `Measure` with its group
        ("eval/denoise_error", "cost/kimg"); a standard error has the key of its value and "_se".
    rungs: {"fraction", "nimg", "value"}, value on `select`, with "se" and "train_sec" (device
        seconds of training so far) where they are known.
    left_out: the score without each group of the subjects it was measured on, by what its standard
        error is of: "cases" (choosing them) or "subjects" (then it is of drawing samples).
    notes: what went otherwise than planned in a trial that went on. Texts name no places.

    Raises ValueError when a value breaks these rules.
    """

    sweep: str
    workload: str
    scale: str
    trial: int
    trial_id: str
    entry_id: str
    seed: int
    cell: dict[str, str]
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
    values: dict[str, float] = field(default_factory=dict)
    rungs: list[dict[str, Any]] = field(default_factory=list)
    left_out: dict[str, list[float]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        where = f"row of trial {self.trial}"
        if self.outcome not in OUTCOMES:
            raise ValueError(f"{where}: outcome {self.outcome!r} is none of {', '.join(OUTCOMES)}")
        if self.origin not in ORIGINS:
            raise ValueError(f"{where}: origin {self.origin!r} is none of {', '.join(ORIGINS)}")
        if self.outcome == "completed" and self.score is None:
            raise ValueError(f"{where}: completed without a score; a completed trial has one")
        for name in ("score", "score_se", "select"):
            value = getattr(self, name)
            if value is not None and not _is_finite(value):
                raise ValueError(f"{where}: {name} is {value}; it must be finite or absent")
        for key, value in self.values.items():
            if not _is_finite(value):
                raise ValueError(f"{where}: {key} is {value!r}; it must be finite or absent")
        for axis, choice in self.cell.items():
            if not isinstance(choice, str):
                raise ValueError(f"{where}: {axis} of its cell is {choice!r}; it must be a name")
        if self.score_se is not None and self.score_se < 0:
            raise ValueError(f"{where}: score_se is {self.score_se}; a standard error is >= 0")
        for rung in self.rungs:
            if not (_is_finite(rung.get("fraction")) and _is_finite(rung.get("value"))):
                raise ValueError(f"{where}: a rung needs a finite fraction and value, got {rung}")
        try:
            Measure.of_score(self.protocol)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error
        for of, values in self.left_out.items():
            if not isinstance(values, list) or not all(map(_is_finite, values)):
                raise ValueError(f"{where}: left_out of {of} must be finite numbers")

    @property
    def trained(self) -> bool:
        """Whether there was anything to train: an estimator without parameters gives the same
        whatever the seed and the rung."""
        return self.values.get("size/params_m") != 0

    @property
    def score_measure(self) -> Measure:
        """What the score is: its name, which way is better, how two are compared, its unit."""
        return Measure.of_score(self.protocol)

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
        if name == "values" and isinstance(value, Mapping):  # numbers, checked by the row
            return {key: float(v) if _is_finite(v) else v for key, v in value.items()}
        if isinstance(value, plain):
            return _copy(value)
    wanted = " or ".join(
        "null" if o is NoneType else getattr(get_origin(o) or o, "__name__", str(o))
        for o in options
    )
    raise ValueError(f"{name} in a leaderboard row is {value!r}; it must be {wanted}")


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _copy(value: Any) -> Any:
    """Containers copied, so that a frozen row shares none with its writer or its readers."""
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_copy(item) for item in value]
    return value
