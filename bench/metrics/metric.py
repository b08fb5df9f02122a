"""What a metric is: a file with a class, and one line in the table.

A metric says what it needs of an evaluation and turns it into numbers with their errors. The
evidence is gathered once, in one pass over the predictions, and shared by all metrics of a task.
Its measures (name, direction, scale, unit, column) are all that anybody else knows of it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from bench.conditions import Condition
from bench.config import like
from bench.files import ResultFile
from bench.metrics.real import RealData
from bench.predictions import Denoise, Predictions, Reconstruct
from leaderboards.measures import Measure

Estimates = Mapping[str, float]
MASKS = "masks"
T = TypeVar("T")
FROM_METHOD = frozenset({"denoise", "reconstruct"})  # needs that a method gives, or does not


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What one evaluation knows. What a task does not have is None.

    part: "select" at a rung, "report" at the end.
    predictions: the values as the task keeps them (uint8 pictures, float images, masks).
    targets: what each prediction should have been, in the same form and order.
    denoise: D of a diffusion method. reconstruct: images through what a method codes them in, and
        back. Not every method has these (FROM_METHOD).
    subjects: the subject of each prediction by number, where it was made from somebody's image.
    spacing: float32 [n, dims], mm from voxel to voxel of each prediction along its spatial axes.
    real_condition: the conditions of real images, by their rows in the data.
    shared: what metrics make for each other; ask through `once`.
    """

    part: str
    real: RealData
    predictions: Predictions
    targets: NDArray[Any] | None = None
    denoise: Denoise | None = None
    reconstruct: Reconstruct | None = None
    subjects: NDArray[np.int64] | None = None
    spacing: NDArray[np.float32] | None = None
    real_condition: Callable[[NDArray[np.int64]], Condition] | None = None
    shared: dict[str, Any] = field(default_factory=dict)

    def once(self, name: str, make: Callable[[], T]) -> T:
        """What `make` gives, made by the first metric that asks for it (features, say)."""
        if name not in self.shared:
            self.shared[name] = make()
        result: T = self.shared[name]
        return result

    @property
    def final(self) -> bool:
        """Whether this is the one look at `report`."""
        return self.part == "report"


class Metric(ABC):
    """One metric with its settings. Immutable; many trials use it in turn, nothing is drawn.

    `needs` are the fields of Evidence, beside predictions, without which it says nothing; a task
    that cannot give them refuses the metric by name. What only the method does not give leaves the
    metric out of that trial, which is said, unless it is the score. MASKS are the data's: where
    these have none, a workload's metric is left out, and said; a score's `prepare` refuses.
    """

    needs: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, settings: Mapping[str, Any]) -> None:
        """`settings` are those of measure.args that `settings_taken` names.

        Raises:
            BenchError: a setting that cannot be.
        """
        defaults = self.settings_taken()
        self.settings = {key: like(defaults[key], value, key) for key, value in settings.items()}

    @classmethod
    def settings_taken(cls) -> Mapping[str, Any]:
        """The settings it reads, with their defaults."""
        return {}

    @property
    @abstractmethod
    def measures(self) -> tuple[Measure, ...]:
        """What it measures, the metric itself first. Keys without a phase: "fd_randconv"."""

    @abstractmethod
    def estimate(self, evidence: Evidence) -> Estimates:
        """Values by key of a measure; a standard error under the measure's `se_key`.

        Raises:
            NonFiniteError: what was measured is not finite.
        """

    def left_out(self, evidence: Evidence) -> Mapping[str, list[float]]:
        """The metric without each group of the subjects it was measured on, where it can say so:
        under "cases" if its standard error is that of choosing them, else under "subjects". See
        bench.metrics.leaving_out."""
        return {}

    def without_draws(self, evidence: Evidence) -> list[float]:
        """The metric without each block of the predictions (bench.metrics.jackknife), where its
        error is that of drawing others: the same blocks for all that draw from the same noise, so
        that their difference has an error of its own. Nothing: it cannot say so."""
        return []

    def gives_back(self, estimates: Estimates) -> bool:
        """Whether these say that predictions are pictures of somebody which training saw."""
        return False

    def files(self, evidence: Evidence) -> tuple[ResultFile, ...]:
        """What a finished trial leaves of it for people to look at; small."""
        return ()

    def protocol(self) -> Mapping[str, Any]:
        """What must match, beside data and counts, before two of its values are compared."""
        return {}

    def prepare(self, real: RealData, part_counts: Mapping[str, int]) -> None:
        """Compute, once and before the trials, what all of them need (kept beside the cache)."""
        return

    def notes(self, real: RealData) -> tuple[str, ...]:
        """What these data do not let it say, for the plan: what is left out, what is only partly
        searched."""
        return ()

    def passes(self) -> int:
        """Network passes over one case that an estimate costs beside the predictions."""
        return 0

    def seconds(self, shape: tuple[int, ...]) -> float:
        """Seconds for each prediction of this shape [C, *spatial], timed here and now."""
        return 0.0
