"""Which entries of a sweep under way cannot be its winner, before there is a board.

The same rule as the board's (leaderboards.barred), so that what is called the best so far, what is
shown first and what is confirmed is never an entry that the board bars.
"""

from __future__ import annotations

from bench.sweep.record.history import History
from bench.sweep.record.trial import Trial
from leaderboards.barred import Failure, failures


def barred_entries(history: History) -> dict[str, Failure]:
    """Of the entries with a completed trial those that are barred, by id."""
    seeds: dict[str, list[dict[str, float]]] = {}
    for trial in history.with_outcome("completed"):
        seeds.setdefault(trial.suggestion.entry_id, []).append(trial.metrics)
    return failures(seeds, history.plan.measures)


def best_first(history: History) -> list[Trial]:
    """Completed trials that may win, the best on `select` first."""
    shut = barred_entries(history)
    return [t for t in history.best_first() if t.suggestion.entry_id not in shut]


def furthest_first(history: History) -> list[Trial]:
    """Trials that may win, by how far they came and how well they stand there on `select`."""
    shut = barred_entries(history)
    return [t for t in history.furthest_first() if t.suggestion.entry_id not in shut]


def best(history: History) -> Trial | None:
    """The first of them."""
    return next(iter(best_first(history)), None)
