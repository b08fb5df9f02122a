"""What a board must know of a number: its name, which way is better, how two are compared.

Direction and scale belong to the measure and to nothing else: suggestion, pruning, confirmation,
calibration, live view and board read them here. A measure travels in a sweep's record as plain
data, so that whoever reads the record draws its column without knowing the metric.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")
DIRECTIONS = ("lower", "higher", "none")
SCALES = ("ratio", "difference")


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One measured number of a trial. ValueError where a field is none of its kind.

    key: as records carry it, with its group where it has one ("denoise_error",
        "stability/clipped_share").
    title: of its column; the first space may become a line break.
    direction: whether "lower" or "higher" is better; "none" where the number is no merit.
    scale: whether two values are compared by their "ratio" (a distance: logarithms) or by their
        "difference" (a PSNR in dB, a Dice score).
    drop: where the screen is too narrow, columns of the highest go first; 0 is never dropped.
    live: shown in the live view of a running sweep.
    """

    key: str
    title: str
    direction: str = "none"
    scale: str = "ratio"
    unit: str = ""
    digits: int = 3
    drop: int = 10
    live: bool = False

    def __post_init__(self) -> None:
        if self.direction not in DIRECTIONS:
            raise ValueError(f"{self.key}: direction {self.direction!r} is none of {DIRECTIONS}")
        if self.scale not in SCALES:
            raise ValueError(f"{self.key}: scale {self.scale!r} is none of {SCALES}")

    @property
    def sign(self) -> float:
        """1 where lower is better, -1 where higher is: sign * value falls as a trial improves."""
        return -1.0 if self.direction == "higher" else 1.0

    @property
    def se_key(self) -> str:
        """The key of its standard error."""
        return f"{self.key}_se"

    def better(self, value: float, other: float) -> bool:
        """Whether `value` is strictly better than `other`."""
        return self.sign * value < self.sign * other

    def in_order(self, items: Iterable[T], value: Callable[[T], float]) -> list[T]:
        """The items, best first; ties in the order given."""
        return sorted(items, key=lambda item: self.sign * value(item))

    def best(self, values: Iterable[float]) -> float:
        """The best of some values; ValueError if there are none."""
        return min(values, key=lambda value: self.sign * value)

    def gap(self, value: float, other: float) -> float:
        """How much worse `value` is than `other`: a share of `other` on the ratio scale, else in
        the measure's unit; negative where it is better."""
        if self.scale == "difference":
            return self.sign * (value - other)
        return self.sign * (value - other) / abs(other) if other else math.inf

    @property
    def better_text(self) -> str:
        """'lower is better', or '' for a number that is no merit."""
        return "" if self.direction == "none" else f"{self.direction} is better"

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Measure:
        """ValueError for keys that are not a measure's, or missing ones."""
        try:
            return cls(**record)
        except TypeError as error:
            raise ValueError(f"no measure: {error}") from error
