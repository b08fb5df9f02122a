"""The columns of a board: what each shows of an entry, and how wide a screen it asks for."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from leaderboards.entries import Entry
from leaderboards.rank import Ranked

NONE = "-"  # shown where a number is not known
GAP = 2  # characters between columns
LABEL = 34  # a label is shortened to this before a column is given up for it


@dataclass(frozen=True, kw_only=True)
class Column:
    """`cell` draws an entry and its place (None: not ranked).

    Where the screen is too narrow the columns of the highest `drop` go first; 0 always stays.
    """

    header: str
    cell: Callable[[Entry, Ranked | None], str]
    drop: int = 0
    text: bool = False

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
    if place is None:
        return NONE
    low, high = place.rank_low, place.rank_high
    return str(low) if low == high else f"{low}-{high}"


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


def _mean(name: str, digits: int = 3) -> Callable[[Entry, Ranked | None], str]:
    return lambda entry, place: number(entry.mean(name), digits)


def columns(places: Sequence[Ranked]) -> tuple[Column, ...]:
    """The columns of a table of these entries."""
    digits = decimals_for([place.entry.score_se for place in places])
    return (
        Column(header="rank", cell=lambda e, p: rank_interval(p)),
        Column(header="tier", cell=lambda e, p: p.tier if p else NONE, drop=8),
        Column(header="trial", cell=lambda e, p: str(e.first.trial), drop=7),
        Column(header="entry", cell=lambda e, p: e.first.label, text=True),
        Column(header="architecture", cell=lambda e, p: e.first.architecture, drop=12, text=True),
        Column(header="setup", cell=lambda e, p: e.first.preconditioning, drop=12, text=True),
        Column(
            header="score ± sampling", cell=lambda e, p: with_error(e.score, e.score_se, digits)
        ),
        Column(header="± seed", cell=lambda e, p: _training(p), drop=2),
        Column(header="denoise error", cell=_mean("denoise_error"), drop=5),
        Column(header="loss spread", cell=_mean("loss_rel_spread", 2), drop=6),
        Column(header="spikes /1k", cell=_mean("spikes_per_1k", 2), drop=9),
        Column(header="to train", cell=_mean("train_distance"), drop=15),
        Column(header="train img/s", cell=_mean("train_img_per_sec"), drop=3),
        Column(header="sample img/s", cell=_mean("sample_img_per_sec"), drop=13),
        Column(header="peak GB", cell=_mean("peak_mem_gb", 2), drop=14),
        Column(header="params M", cell=_mean("params_m"), drop=10),
        Column(header="GFLOPs /img", cell=_mean("gflops_per_img"), drop=11),
        Column(header="kimg", cell=_mean("kimg"), drop=10),
        Column(header="busy s", cell=lambda e, p: number(e.cost_sec), drop=4),
        Column(header="seeds", cell=lambda e, p: seeds(e), drop=1),
    )


def fitting(places: Sequence[Ranked], width: int) -> list[tuple[Column, int]]:
    """The columns that fit into `width` with GAP between them, each with its own width.

    Labels may be shortened, to no less than LABEL characters; numbers never are.
    """
    found = [(column, column.width(places)) for column in columns(places)]
    while True:
        room = width - sum(w for c, w in found if c.header != "entry") - GAP * (len(found) - 1)
        longest = next(w for c, w in found if c.header == "entry")
        most = max(column.drop for column, _ in found)
        if room >= min(longest, LABEL) or most == 0:
            return [(c, min(w, max(room, 8)) if c.header == "entry" else w) for c, w in found]
        found = [(column, w) for column, w in found if column.drop < most]


LEGEND = (
    "rank: every rank that fits what was seen (95 %, all pairs, Holm). Entries of one block (tier) "
    "are not told apart: their order is not known. ± sampling: drawing samples again. "
    "± seed: training again, in brackets where borrowed or assumed. "
    "busy s: training, sampling and measuring of one trial."
)
