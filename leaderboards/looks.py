"""Looks: how often a verdict has been asked for as seeds came in, and what each look may spend.

Whoever looks after every new seed and stops when there is a winner names a false one more often
than each look says. So the 5 % are spent over the looks, as in a group sequential trial (Lan and
DeMets 1983; here the shares are given): most of it where entries first have the seeds that a
winner needs. With 95 % confidence what each look says is true, so what one leaves out stays out
and a bound that one gave holds at the next: what may be best only shrinks.

A look comes with each new seed of confirmation, in order of the trials; the sweep's own end is
look 0. All of it is read off the rows, so that boards from the journal and from MLflow agree.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from leaderboards.best import ALPHA, Array, WithBest, with_best
from leaderboards.entries import CONFIRM_SEEDS, Entry, gather
from leaderboards.estimates import errors_of
from leaderboards.rows import ON_ITS_WAY, Row
from leaderboards.spread import seed_spread

EARLY = 0.005  # each look before entries have CONFIRM_SEEDS new seeds
FIRST = 0.02  # the look at which they have
LATER = ALPHA - CONFIRM_SEEDS * EARLY - FIRST  # all looks after that together


def level(look: int) -> float:
    """What look 0, 1, ... may spend; over all there will ever be it sums to ALPHA."""
    if look < CONFIRM_SEEDS:
        return EARLY
    after = look - CONFIRM_SEEDS
    return FIRST if after == 0 else LATER / (after * (after + 1))


def looks_of(rows: Sequence[Row]) -> dict[tuple[str, str], int]:
    """The look at which each row was first seen, by (sweep, trial_id).

    Confirming trials follow one another by their place among the seeds of their entry: all first
    seeds are one look, all second ones the next. Those on their way are not seen yet.
    """
    looks = {}
    places: Counter[str] = Counter()
    look = last = 0
    for row in sorted(rows, key=lambda row: (row.sweep, row.trial)):
        looks[row.sweep, row.trial_id] = 0
        if row.origin != "confirm" or row.outcome in ON_ITS_WAY:
            continue
        places[row.entry_id] += 1
        if places[row.entry_id] != last:
            look, last = look + 1, places[row.entry_id]
        looks[row.sweep, row.trial_id] = look
    return looks


def level_of(rows: Sequence[Row], look: int) -> float:
    """The level of a look at these rows: all of ALPHA where nothing can be confirmed."""
    return level(look) if any(row.trained for row in rows) else ALPHA


def left_by_earlier(
    rows: Sequence[Row], looks: Mapping[tuple[str, str], int]
) -> dict[str, float] | None:
    """The entries that all looks before the last have left, by id, and how far each is behind the
    best at most by any of them, on the compared scale; None where there was no look."""
    left: dict[str, float] | None = None
    for look in range(max(looks.values(), default=0)):
        seen = [row for row in rows if looks[row.sweep, row.trial_id] <= look]
        entries = [entry for entry in gather(seen) if entry.scores]
        if entries:
            errors = errors_of(entries, seed_spread(entries))
            left = _left(entries, with_best(errors, level(look), earlier(entries, left)))
    return left


def _left(entries: Sequence[Entry], told: WithBest) -> dict[str, float]:
    places = zip(entries, told.may_be_best, told.behind, strict=True)
    return {entry.entry_id: float(behind) for entry, may, behind in places if may}


def earlier(entries: Sequence[Entry], left: Mapping[str, float] | None) -> Array | None:
    """Bounds of these by earlier looks, [n]; infinite for those left out, None without any look."""
    if left is None:
        return None
    return np.array([left.get(entry.entry_id, np.inf) for entry in entries])
