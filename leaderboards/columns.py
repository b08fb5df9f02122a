"""The columns of a board: what each shows of an entry, and how wide a screen it asks for."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from leaderboards.entries import Entry
from leaderboards.rank import Ranked

NONE = "-"  # shown where a number is not known


@dataclass(frozen=True, kw_only=True)
class Column:
    """`cell` draws an entry and its place (None: not ranked); shown from `min_width` columns on."""

    header: str
    cell: Callable[[Entry, Ranked | None], str]
    min_width: int = 0
    text: bool = False


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
    """Spread between seeds; in brackets where it is borrowed."""
    if place is None or place.training_sd is None:
        return NONE
    shown = number(place.training_sd, 2)
    return f"({shown})" if place.training_source == "borrowed" else shown


def _mean(name: str, digits: int = 3) -> Callable[[Entry, Ranked | None], str]:
    return lambda entry, place: number(entry.mean(name), digits)


def columns(places: Sequence[Ranked]) -> tuple[Column, ...]:
    """The columns of a table of these entries."""
    digits = decimals_for([place.entry.score_se for place in places])
    return (
        Column(header="rank", cell=lambda e, p: rank_interval(p)),
        Column(header="tier", cell=lambda e, p: p.tier if p else NONE, min_width=106),
        Column(header="entry", cell=lambda e, p: e.first.label, text=True),
        Column(
            header="architecture", cell=lambda e, p: e.first.architecture, min_width=180, text=True
        ),
        Column(header="setup", cell=lambda e, p: e.first.preconditioning, min_width=180, text=True),
        Column(
            header="score ± sampling", cell=lambda e, p: with_error(e.score, e.score_se, digits)
        ),
        Column(header="± seed", cell=lambda e, p: _training(p)),
        Column(header="denoise error", cell=_mean("denoise_error")),
        Column(header="loss spread", cell=_mean("loss_rel_spread", 2)),
        Column(header="spikes /1k", cell=_mean("spikes_per_1k", 2), min_width=116),
        Column(header="to train", cell=_mean("train_distance"), min_width=195),
        Column(header="train img/s", cell=_mean("train_img_per_sec")),
        Column(header="sample img/s", cell=_mean("sample_img_per_sec"), min_width=148),
        Column(header="peak GB", cell=_mean("peak_mem_gb", 2), min_width=156),
        Column(header="params M", cell=_mean("params_m"), min_width=132),
        Column(header="GFLOPs /img", cell=_mean("gflops_per_img"), min_width=140),
        Column(header="kimg", cell=_mean("kimg"), min_width=124),
        Column(header="cost core-s", cell=lambda e, p: number(e.cost_sec)),
        Column(header="seeds", cell=lambda e, p: seeds(e)),
    )


LEGEND = (
    "rank: every rank that fits what was seen (95 %, all pairs, Holm). Entries of one block (tier) "
    "are not told apart: their order is not known. ± sampling: drawing samples again. "
    "± seed: training again, (borrowed) where the entry has one seed."
)
