"""The table of cells: what full-budget trials of each combination of the cell axes reached.

A cell is what verdicts are about, such as an architecture with a preconditioning. It says nothing
before MIN_COMPLETED of its trials have used their whole budget: until then it reads
"inconclusive", never "worst". The best of many is better than the best of two, so the number of
trials stands beside it and the median is shown with it.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from leaderboards.rank import Ranking
from leaderboards.rows import ABSENT, Row

MIN_COMPLETED = 2


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One combination. `completed` and `started` count trials; best and median are over entries."""

    choices: tuple[str, ...]  # one an axis
    started: int
    completed: int
    best: float | None
    median: float | None
    may_be_best: bool  # an entry of this cell may be the best of the board

    @property
    def verdict(self) -> str:
        return "measured" if self.completed >= MIN_COMPLETED else "inconclusive"


def axes_of(rows: Iterable[Row], declared: Iterable[str] = ()) -> tuple[str, ...]:
    """The axes of the rows' cells: the declared ones first, then in order of appearance."""
    return tuple(dict.fromkeys([*declared, *(axis for row in rows for axis in row.cell)]))


def choices_of(row: Row, axes: Sequence[str]) -> tuple[str, ...]:
    """The row's choice on each axis; ABSENT where it has none."""
    return tuple(row.cell.get(axis, ABSENT) for axis in axes)


def cells(ranking: Ranking, axes: Sequence[str]) -> tuple[Cell, ...]:
    """Every combination that a trial was given, in alphabetical order; none without axes."""
    if not axes:
        return ()
    grid = []
    for choices in sorted({choices_of(row, axes) for row in ranking.rows}):
        rows = [row for row in ranking.compared if choices_of(row, axes) == choices]
        places = [p for p in ranking.ranked if choices_of(p.entry.first, axes) == choices]
        scores = [place.score for place in places]
        completed = sum(row.outcome == "completed" for row in rows)
        enough = completed >= MIN_COMPLETED
        grid.append(
            Cell(
                choices=choices,
                started=len(rows),
                completed=completed,
                best=ranking.measure.best(scores) if enough else None,
                median=statistics.median(scores) if enough else None,
                may_be_best=any(place.may_be_best for place in places),
            )
        )
    return tuple(grid)


@dataclass(frozen=True, kw_only=True)
class Crossing:
    """Cells laid out as a table: the last axis across where there are two or more."""

    title: str
    across: tuple[str, ...]
    lines: tuple[tuple[str, tuple[Cell | None, ...]], ...]  # name, and a cell for each of `across`


def crossing(grid: Sequence[Cell], axes: Sequence[str]) -> Crossing:
    """The cells down by all axes but the last, across by the last; None where no trial was."""
    split = max(1, len(axes) - 1)
    across = tuple(sorted({cell.choices[split:] for cell in grid}))
    by_place = {(cell.choices[:split], cell.choices[split:]): cell for cell in grid}
    down = sorted({cell.choices[:split] for cell in grid})
    return Crossing(
        title=" x ".join(axes),
        across=tuple(" ".join(name) for name in across),
        lines=tuple(
            (" · ".join(names), tuple(by_place.get((names, column)) for column in across))
            for names in down
        ),
    )
