"""The table of cells: what each combination of the cell axes reached at a budget all of them had.

A cell is what verdicts are about, such as an architecture with a preconditioning. Cells are
compared at the highest rung that each reached with MIN_TRIALS trials or more, on `select`; where
that is the whole budget, by the scores. A cell that has not so many at any rung that others have
reads "inconclusive", never "worst". Whether a cell may be best there is the comparison that
entries get, made again on the values there, each cell under its own spread. The best of many is
better than the best of two, so the number of trials stands beside it and the median is shown.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from leaderboards.rank import Ranking, rank
from leaderboards.rows import ABSENT, Row

MIN_TRIALS = 2
WHOLE = 1.0


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One combination. `compared` and `started` count trials; best and median are over entries."""

    choices: tuple[str, ...]  # one an axis
    started: int
    compared: int
    best: float | None
    median: float | None
    may_be_best: bool  # an entry of this cell may be the best of all at that rung

    @property
    def verdict(self) -> str:
        return "measured" if self.compared >= MIN_TRIALS else "inconclusive"


@dataclass(frozen=True, kw_only=True)
class CellTable:
    """Every combination that a trial was given, in alphabetical order, at a share of the budget."""

    fraction: float
    axes: tuple[str, ...]
    cells: tuple[Cell, ...]

    @property
    def title(self) -> str:
        """What the table shows."""
        names = " x ".join(self.axes)
        if self.fraction == WHOLE:
            return f"{names}: best / median score (full-budget trials)"
        return (
            f"{names}: best / median on select at {100 * self.fraction:.3g} % of the budget, the "
            f"most that all have {MIN_TRIALS} trials at (trials)"
        )


def axes_of(rows: Iterable[Row], declared: Iterable[str] = ()) -> tuple[str, ...]:
    """The axes of the rows' cells: the declared ones first, then in order of appearance."""
    return tuple(dict.fromkeys([*declared, *(axis for row in rows for axis in row.cell)]))


def choices_of(row: Row, axes: Sequence[str]) -> tuple[str, ...]:
    """The row's choice on each axis; ABSENT where it has none."""
    return tuple(row.cell.get(axis, ABSENT) for axis in axes)


def cell_table(ranking: Ranking, axes: Sequence[str]) -> CellTable | None:
    """The cells of a ranking; None without axes or rows."""
    if not axes or not ranking.rows:
        return None
    fraction = common_fraction(ranking.compared, axes)
    rows = at_fraction(ranking.compared, fraction)
    ranked = ranking.ranked if fraction == WHOLE else rank(rows).ranked if rows else ()
    grid = []
    for choices in sorted({choices_of(row, axes) for row in ranking.rows}):
        places = [p for p in ranked if choices_of(p.entry.first, axes) == choices]
        values = [place.score for place in places]
        compared = sum(choices_of(row, axes) == choices for row in rows)
        enough = compared >= MIN_TRIALS
        grid.append(
            Cell(
                choices=choices,
                started=sum(choices_of(row, axes) == choices for row in ranking.compared),
                compared=compared,
                best=ranking.measure.best(values) if enough else None,
                median=statistics.median(values) if enough else None,
                may_be_best=any(place.may_be_best for place in places),
            )
        )
    return CellTable(fraction=fraction, axes=tuple(axes), cells=tuple(grid))


def common_fraction(rows: Sequence[Row], axes: Sequence[str]) -> float:
    """The largest share of the budget at which all cells have MIN_TRIALS values: all those that
    have so many at any."""
    counts: dict[float, dict[tuple[str, ...], int]] = {}
    for row in rows:
        reached = {float(rung["fraction"]) for rung in row.rungs if rung["fraction"] < WHOLE}
        for fraction in {*reached, *([WHOLE] if row.outcome == "completed" else [])}:
            at = counts.setdefault(fraction, {})
            choices = choices_of(row, axes)
            at[choices] = at.get(choices, 0) + 1
    enough = {f: {c for c, n in at.items() if n >= MIN_TRIALS} for f, at in counts.items()}
    every = set().union(*enough.values())
    return max((f for f, those in enough.items() if those == every and every), default=WHOLE)


def at_fraction(rows: Sequence[Row], fraction: float) -> list[Row]:
    """The rows that reached a share of the budget, scored by their values there."""
    if fraction == WHOLE:
        return [row for row in rows if row.outcome == "completed"]
    found = []
    for row in rows:
        there = next((r for r in row.rungs if float(r["fraction"]) == fraction), None)
        if there is not None:
            value, error = float(there["value"]), there.get("se")
            found.append(
                dataclasses.replace(
                    row, outcome="completed", score=value, score_se=error, left_out={}
                )
            )
    return found


@dataclass(frozen=True, kw_only=True)
class Crossing:
    """Cells laid out as a table: the last axis across where there are two or more."""

    across: tuple[str, ...]
    lines: tuple[tuple[str, tuple[Cell | None, ...]], ...]  # name, and a cell for each of `across`


def crossing(table: CellTable) -> Crossing:
    """The cells down by all axes but the last, across by the last; None where no trial was."""
    split = max(1, len(table.axes) - 1)
    across = tuple(sorted({cell.choices[split:] for cell in table.cells}))
    by_place = {(cell.choices[:split], cell.choices[split:]): cell for cell in table.cells}
    down = sorted({cell.choices[:split] for cell in table.cells})
    return Crossing(
        across=tuple(" ".join(name) for name in across),
        lines=tuple(
            (" · ".join(names), tuple(by_place.get((names, column)) for column in across))
            for names in down
        ),
    )
