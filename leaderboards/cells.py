"""The architecture x preconditioning table: what full-budget trials of each cell reached.

A cell says nothing before MIN_COMPLETED of its trials have used their whole budget: until then it
reads "inconclusive", never "worst". The best of many is lower than the best of two, so the
number of trials stands beside it and the median is shown with it.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from leaderboards.rank import Ranking

MIN_COMPLETED = 2


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One pair. `completed` and `started` count trials; best and median are over entries."""

    architecture: str
    preconditioning: str
    started: int
    completed: int
    best: float | None
    median: float | None
    may_be_best: bool  # an entry of this cell may be the best of the board

    @property
    def verdict(self) -> str:
        return "measured" if self.completed >= MIN_COMPLETED else "inconclusive"


def cells(ranking: Ranking) -> tuple[Cell, ...]:
    """Every pair of an architecture and a preconditioning that occur, in alphabetical order."""
    architectures = sorted({row.architecture for row in ranking.rows})
    setups = sorted({row.preconditioning for row in ranking.rows})
    lowest = ranking.rows[0].protocol.get("direction", "min") == "min"
    found = []
    for architecture in architectures:
        for setup in setups:
            pair = (architecture, setup)
            rows = [r for r in ranking.rows if (r.architecture, r.preconditioning) == pair]
            places = [
                place
                for place in ranking.ranked
                if (place.entry.first.architecture, place.entry.first.preconditioning) == pair
            ]
            scores = [place.score for place in places]
            completed = sum(row.outcome == "completed" for row in rows)
            enough = completed >= MIN_COMPLETED
            found.append(
                Cell(
                    architecture=architecture,
                    preconditioning=setup,
                    started=len(rows),
                    completed=completed,
                    best=(min if lowest else max)(scores) if enough else None,
                    median=statistics.median(scores) if enough else None,
                    may_be_best=any(place.may_be_best for place in places),
                )
            )
    return tuple(found)
