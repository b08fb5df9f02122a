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
from functools import lru_cache
from typing import Any, TypeVar

from leaderboards.scrubbing import without_places

T = TypeVar("T")
DIRECTIONS = ("lower", "higher", "none")
SCALES = ("ratio", "difference")
USELESS = 10  # times the score: a bound beyond says nothing
SE = "_se"  # ends the key of a standard error
TEXTS = ("title", "unit", "meaning", "reference_text", "reference_verdict", "failure")


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
    meaning: what the title does not say, for the legend below a board.
    reference: a value that a trial should be better than, for a measure with a direction (1 for an
        error relative to the best linear method); `reference_text` says what has that value, and
        `reference_verdict` what it means if no trial is better.
    level: of a p-value: an entry below it, divided by the number of entries compared, is barred
        from winning; `failure` says what such an entry does, `failure_share` is the key (without
        its group) of the measure that says how often.
    witness: a distance on other features than the score's, under which a winner has to stand too.
    """

    key: str
    title: str
    direction: str = "none"
    scale: str = "ratio"
    unit: str = ""
    digits: int = 3
    drop: int = 10
    live: bool = False
    meaning: str = ""
    reference: float | None = None
    reference_text: str = ""
    reference_verdict: str = ""
    level: float | None = None
    failure: str = ""
    failure_share: str = ""
    witness: bool = False

    def __post_init__(self) -> None:
        if self.direction not in DIRECTIONS:
            raise ValueError(f"{self.key}: direction {self.direction!r} is none of {DIRECTIONS}")
        if self.scale not in SCALES:
            raise ValueError(f"{self.key}: scale {self.scale!r} is none of {SCALES}")
        if self.reference is not None and self.direction == "none":
            raise ValueError(f"{self.key}: a reference needs a direction, lower or higher")
        if self.level is not None and not (0 < self.level < 1 and self.failure):
            raise ValueError(f"{self.key}: a level lies between 0 and 1 and needs a failure's text")
        if self.witness and self.direction == "none":
            raise ValueError(f"{self.key}: a witness needs a direction, lower or higher")
        for name in TEXTS:
            text = getattr(self, name)
            if without_places(text) != text:  # records are rid of paths on their way
                raise ValueError(
                    f"{self.key}: {name} {text!r} reads like a path; word it otherwise"
                )

    @property
    def sign(self) -> float:
        """1 where lower is better, -1 where higher is: sign * value falls as a trial improves."""
        return -1.0 if self.direction == "higher" else 1.0

    @property
    def se_key(self) -> str:
        """The key of its standard error."""
        return f"{self.key}{SE}"

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
        worse = self.sign * (value - other)
        if self.scale == "difference" or worse == 0:
            return worse
        return worse / abs(other) if other else math.copysign(math.inf, worse)

    def misses_reference(self, value: float | None) -> bool:
        """Whether there is a reference and this value is worse than it."""
        return (
            value is not None and self.reference is not None and self.better(self.reference, value)
        )

    def with_unit(self, text: str) -> str:
        """A number's text with the unit behind it, where there is one."""
        return f"{text} {self.unit}" if self.unit else text

    def spread_text(self, sd: float) -> str:
        """A spread on the measure's scale: '3.4% of the score', '0.21 dB'."""
        return f"{sd:.1%} of the score" if self.scale == "ratio" else self.with_unit(f"{sd:.2g}")

    def bound_text(self, behind: float) -> str:
        """'at most 12.0% of the score', or that there is no useful bound."""
        if self.scale == "ratio" and behind >= USELESS:
            return f"perhaps more than {USELESS} times (too few seeds to say)"
        return f"at most {self.spread_text(behind)}"

    @property
    def better_text(self) -> str:
        """'lower is better', or '' for a number that is no merit."""
        return "" if self.direction == "none" else f"{self.direction} is better"

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def of_score(cls, protocol: Mapping[str, Any]) -> Measure:
        """The score of a protocol: its metric, direction, scale ("ratio" unless it says otherwise)
        and unit. ValueError where the direction is not "lower" or "higher"."""
        metric, direction = str(protocol.get("metric", "score")), protocol.get("direction")
        if direction not in ("lower", "higher"):
            raise ValueError(
                f"protocol of {metric}: direction {direction!r} is neither 'lower' nor 'higher'"
            )
        return _score(metric, direction, protocol.get("scale", "ratio"), protocol.get("unit", ""))

    @classmethod
    def undeclared(cls, key: str) -> Measure:
        """A number of which nothing is known but its key, which names its column."""
        return cls(key=key, title=key.rpartition("/")[2].replace("_", " "))

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Measure:
        """ValueError for keys that are not a measure's, or missing ones."""
        try:
            return cls(**record)
        except TypeError as error:
            raise ValueError(f"no measure: {error}") from error


@lru_cache(maxsize=64)
def _score(metric: str, direction: str, scale: str, unit: str) -> Measure:
    """A board asks for it once a row and more."""
    return Measure(key=f"eval/{metric}", title=metric, direction=direction, scale=scale, unit=unit)


def union(lists: Iterable[Iterable[Measure]]) -> tuple[Measure, ...]:
    """The measures of several records by key, each as the first record has it, in that order."""
    by_key: dict[str, Measure] = {}
    for measures in lists:
        for measure in measures:
            by_key.setdefault(measure.key, measure)
    return tuple(by_key.values())
