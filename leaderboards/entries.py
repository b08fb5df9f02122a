"""Entries: rows of one configuration gathered, its seeds as replicates.

The score of an entry is the mean over its training seeds. Once an entry has been confirmed, the
runs that got it chosen are left out of that mean: they were picked for looking good, the new
seeds were not.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from leaderboards.measures import SE
from leaderboards.rows import OUTCOMES, Row

CONFIRM_SEEDS = 3  # new seeds that an entry needs before it can be called the winner


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One configuration: `rows`, one a seed, in order of trial number; never empty."""

    entry_id: str
    rows: tuple[Row, ...]

    @property
    def first(self) -> Row:
        """The row that names the entry: its earliest trial."""
        return self.rows[0]

    @property
    def completed(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.outcome == "completed")

    @property
    def confirming(self) -> tuple[Row, ...]:
        """Completed rows on new seeds, trained to confirm."""
        return tuple(row for row in self.completed if row.origin == "confirm")

    @property
    def confirmed(self) -> bool:
        """Trained on enough new seeds, or untrained: then every seed gives the same."""
        return len(self.confirming) >= CONFIRM_SEEDS or not self.first.trained

    @property
    def scored(self) -> tuple[Row, ...]:
        """The rows that make the score: the confirming ones once there are enough, else all."""
        return self.confirming if len(self.confirming) >= CONFIRM_SEEDS else self.completed

    @property
    def scores(self) -> list[float]:
        return [row.score for row in self.scored if row.score is not None]

    @property
    def score(self) -> float | None:
        """Mean of the scores over seeds; None where no seed completed."""
        scores = self.scores
        return math.fsum(scores) / len(scores) if scores else None

    @property
    def score_se(self) -> float | None:
        """Standard error of `score` from drawing samples again or, where it is a mean over cases,
        choosing others; None where a seed's is unknown."""
        errors = [row.score_se for row in self.scored if row.score_se is not None]
        if not errors or len(errors) < len(self.scored):
            return None
        if any("cases" in row.left_out for row in self.scored):
            return math.fsum(errors) / len(errors)  # the same cases for every seed
        return math.sqrt(math.fsum(e * e for e in errors)) / len(errors)

    @property
    def outcome(self) -> str:
        """Completed if any seed completed, else what became of the latest trial."""
        return "completed" if self.completed else self.rows[-1].outcome

    @property
    def cause(self) -> str:
        return "" if self.completed else self.rows[-1].cause

    @property
    def last_rung(self) -> Mapping[str, Any] | None:
        """The furthest rung any seed reached: fraction, nimg, value."""
        rungs = [rung for row in self.rows for rung in row.rungs]
        return max(rungs, key=lambda rung: float(rung["fraction"]), default=None)

    def mean(self, key: str) -> float | None:
        """Mean of a measured value over the runs that make the score (over all if none completed):
        so seconds, images and whatever else stands beside a score are of the same runs.

        Of a standard error it is the standard error of that mean.
        """
        rows = self.scored or self.rows
        values = [row.values[key] for row in rows if key in row.values]
        if not values:
            return None
        if key.endswith(SE):
            return math.sqrt(math.fsum(e * e for e in values)) / len(values)
        return math.fsum(values) / len(values)

    @property
    def values(self) -> dict[str, float]:
        """`mean` of every value that a seed has, by key."""
        keys = sorted({key for row in self.rows for key in row.values})
        means = {key: self.mean(key) for key in keys}
        return {key: value for key, value in means.items() if value is not None}

    @property
    def select(self) -> float | None:
        """Mean of the final values on `select` over the completed seeds."""
        values = [row.select for row in self.completed if row.select is not None]
        return math.fsum(values) / len(values) if values else None


def distinct(rows: Iterable[Row]) -> tuple[list[Row], int]:
    """Rows in a fixed order, repeats of (entry, seed, protocol) dropped, and how many those were.

    The same configuration from the same seed gives the same result, so a repeat is no replicate.
    A completed row stands before any other, then the later trial.
    """
    kept: dict[tuple[str, int, str], Row] = {}
    count = 0
    for row in sorted(rows, key=lambda r: (r.sweep, r.trial, r.trial_id)):
        count += 1
        key = (row.entry_id, row.seed, row.protocol_digest)
        other = kept.get(key)
        if other is None or other.outcome != "completed":
            kept[key] = row
    ordered = sorted(kept.values(), key=lambda r: (r.sweep, r.trial, r.trial_id))
    return ordered, count - len(ordered)


def gather(rows: Sequence[Row]) -> list[Entry]:
    """Entries in order of their first trial."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.entry_id, []).append(row)
    return [Entry(entry_id=key, rows=tuple(group)) for key, group in groups.items()]


def count_outcomes(rows: Iterable[Row]) -> dict[str, int]:
    """Trials by outcome, in the fixed order of OUTCOMES, those that occur."""
    counts = Counter(row.outcome for row in rows)
    return {name: counts[name] for name in OUTCOMES if counts[name]}
