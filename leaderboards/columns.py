"""The columns of a board: what each shows of an entry, and how wide a screen it asks for.

Columns of what was measured follow from the board's measures and its cell axes: a new metric needs
no edit here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from leaderboards.board import Board
from leaderboards.entries import Entry
from leaderboards.measures import USELESS, Measure
from leaderboards.rank import Ranked
from leaderboards.rows import ABSENT

NONE = "-"  # shown where a number is not known
GAP = 2  # characters between columns
WORSE = "*"  # marks a number worse than its measure's reference
AXIS_DROP = 12  # the label names the cell already
LABEL = 34  # a label is shortened to this before a column is given up for it


@dataclass(frozen=True, kw_only=True)
class Column:
    """`cell` draws an entry and its place (None: not ranked).

    Where the screen is too narrow the columns of the highest `drop` go first; 0 always stays. One
    that `shrinks` may be shortened. `measure`: what the column shows, if it is something measured.
    """

    header: str
    cell: Callable[[Entry, Ranked | None], str]
    drop: int = 0
    text: bool = False
    shrinks: bool = False
    measure: Measure | None = None

    def width(self, places: Sequence[Ranked]) -> int:
        """Characters that the longest cell or header word takes."""
        texts = [self.cell(place.entry, place) for place in places]
        return max(map(len, [*texts, *self.header.split(" ", 1)]))


def number(value: float | None, digits: int = 3) -> str:
    """A few significant digits without exponent for common sizes: 0.123, 12.3, 1234."""
    if value is None:
        return NONE
    if value == 0 or not 1e-4 <= abs(value) < 1e6:
        return f"{value:.{digits}g}"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:.{decimals}f}"


def decimals_for(errors: Sequence[float | None]) -> int | None:
    """Decimals that show the median error to two digits; None where no error is known."""
    known = sorted(error for error in errors if error)
    if not known:
        return None
    return max(0, min(6, 1 - math.floor(math.log10(known[len(known) // 2]))))


def with_error(value: float | None, error: float | None, decimals: int | None) -> str:
    """'61.2 ± 1.4', with a column's common decimals; without an error the value alone."""
    if value is None:
        return NONE
    if decimals is None:
        return number(value)
    shown = f"{value:.{decimals}f}"
    return shown if error is None else f"{shown} ± {error:.{decimals}f}"


def rank_interval(place: Ranked | None) -> str:
    """'1-7', or '3' where the rank is known."""
    if place is None or place.rank_low is None:
        return NONE
    low, high = place.rank_low, place.rank_high
    return str(low) if low == high else f"{low}-{high}"


def _behind(place: Ranked | None, measure: Measure | None) -> str:
    """How far behind the best it is at most: '12%', '>x10' where nothing is known, or in the
    score's unit."""
    if place is None or measure is None or place.behind is None:
        return NONE
    if measure.scale == "ratio":
        return f"{place.behind:.0%}" if place.behind < USELESS else f">x{USELESS}"
    return number(place.behind, 2)


def seeds(entry: Entry) -> str:
    """Completed seeds, with the number tried where some did not complete: '2/3'."""
    done, tried = len(entry.completed), len(entry.rows)
    return str(done) if done == tried else f"{done}/{tried}"


def _training(place: Ranked | None) -> str:
    """Spread between seeds; in brackets where it is borrowed or assumed."""
    if place is None or place.training_sd is None:
        return NONE
    shown = number(place.training_sd, 2)
    return f"({shown})" if place.training_source in ("borrowed", "assumed") else shown


def _value(measure: Measure, entry: Entry) -> str:
    """The mean over seeds, marked where it is worse than the measure's reference."""
    value = entry.mean(measure.key)
    mark = WORSE if measure.misses_reference(value) else ""
    return mark + number(value, measure.digits)


def _measured(measure: Measure) -> Column:
    return Column(
        header=measure.title,
        cell=lambda entry, place: _value(measure, entry),
        drop=measure.drop,
        measure=measure,
    )


def _axis(axis: str) -> Column:
    return Column(
        header=axis, cell=lambda e, p: e.first.cell.get(axis, ABSENT), drop=AXIS_DROP, text=True
    )


def columns(board: Board, places: Sequence[Ranked]) -> tuple[Column, ...]:
    """The columns of a table of these entries: place, cell, score, and the board's measures of
    which one of them has a value."""
    of_score = places[0].entry.first.score_measure if places else None
    digits = decimals_for([place.entry.score_se for place in places])
    shown = [m for m in board.measures if any(p.entry.mean(m.key) is not None for p in places)]
    return (
        Column(header="rank", cell=lambda e, p: rank_interval(p)),
        Column(header="tier", cell=lambda e, p: p.tier if p else NONE, drop=8),
        Column(header="trial", cell=lambda e, p: str(e.first.trial), drop=7),
        Column(header="entry", cell=lambda e, p: e.first.label, text=True, shrinks=True),
        *(_axis(axis) for axis in board.axes),
        Column(
            header="score ± sampling", cell=lambda e, p: with_error(e.score, e.score_se, digits)
        ),
        Column(header="± seed", cell=lambda e, p: _training(p), drop=2),
        Column(header="behind ≤", cell=lambda e, p: _behind(p, of_score), drop=3),
        Column(header="is best", cell=lambda e, p: f"{p.chance:.0%}" if p else NONE, drop=13),
        *map(_measured, shown),
        Column(header="seeds", cell=lambda e, p: seeds(e), drop=1),
    )


def fitting(board: Board, places: Sequence[Ranked], width: int) -> list[tuple[Column, int]]:
    """The columns that fit into `width` with GAP between them, each with its own width.

    Labels may be shortened, to no less than LABEL characters; numbers never are.
    """
    sized = [(column, column.width(places)) for column in columns(board, places)]
    while True:
        room = width - sum(w for c, w in sized if not c.shrinks) - GAP * (len(sized) - 1)
        longest = sum(w for c, w in sized if c.shrinks)
        most = max(column.drop for column, _ in sized)
        if room >= min(longest, LABEL) or most == 0:
            return [(c, min(w, max(room, 8)) if c.shrinks else w) for c, w in sized]
        sized = [(column, w) for column, w in sized if column.drop < most]


LEGEND = (
    "score: measured once, on the report part; nothing was chosen by it. "
    "rank: every rank that fits what was seen (95 %, all pairs, Holm); none before entries were "
    "trained from two seeds. Entries of one block (tier) are not told apart: their order is not "
    "known. ± sampling: drawing samples or cases again. ± seed: training again, in brackets where "
    "borrowed from its cell or assumed. behind ≤: of those that may be best, so far behind it at "
    "most (95 %)."
)


def legend(shown: Iterable[Column], places: Sequence[Ranked]) -> str:
    """What the columns of a table mean."""
    lines = [LEGEND]
    for measure in (column.measure for column in shown if column.measure is not None):
        if measure.meaning:
            lines.append(f"{measure.title}: {measure.meaning}.")
        if any(measure.misses_reference(place.entry.mean(measure.key)) for place in places):
            what = f", {measure.reference_text}" if measure.reference_text else ""
            lines.append(f"{WORSE} {measure.title}: worse than {measure.reference:g}{what}.")
    return " ".join(lines)
