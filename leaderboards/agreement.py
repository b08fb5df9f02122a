"""How far early rungs agree with the final order: Spearman's rank correlation, with its n.

Taken over completed trials only, and only those that train: an estimator's rungs are its end. How
sure it is follows from the number of entries, since seeds of one are no new pairs: an interval of
95 % by Fisher's z with Bonett and Wright's (2000) standard error. Pruning has removed the trials
that looked worst, which narrows the range and tends to understate the agreement.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from leaderboards.rows import Row

MIN_PAIRS = 4


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Spearman's rho between a rung at `fraction` of the budget and the score; None: no order. Over
    n trials of so many entries."""

    fraction: float
    n: int
    rho: float | None
    entries: int

    @property
    def interval(self) -> tuple[float, float] | None:
        """Of 95 %; None where rho is not known or entries are too few."""
        if self.rho is None or self.entries < MIN_PAIRS or abs(self.rho) >= 1:
            return None
        half = 1.96 * math.sqrt((1 + self.rho**2 / 2) / (self.entries - 3))
        at = math.atanh(self.rho)
        return math.tanh(at - half), math.tanh(at + half)

    @property
    def text(self) -> str:
        """'0.69 (0.02 to 0.93; 9 trials of 8 entries)'."""
        of = f" of {self.entries} entries" if self.entries != self.n else ""
        shown = "unknown" if self.rho is None else f"{self.rho:.2f}"
        sure = "" if (i := self.interval) is None else f"{i[0]:.2f} to {i[1]:.2f} with 95 %; "
        return f"{shown} ({sure}n={self.n}{f' trials{of}' if of else ''})"


def spearman(first: ArrayLike, second: ArrayLike) -> float | None:
    """Spearman's rho; None where one side is constant or there are fewer than two pairs."""
    from scipy.stats import spearmanr  # half a second to import

    if min(np.unique(first).size, np.unique(second).size) < 2:
        return None
    return float(spearmanr(first, second).statistic)


def agreements(rows: Sequence[Row]) -> tuple[Agreement, ...]:
    """One for each rung below the full budget, by fraction, over completed rows."""
    pairs: dict[float, list[tuple[float, float]]] = {}
    entries: dict[float, set[str]] = {}
    for row in rows:
        if row.outcome != "completed" or row.score is None or not row.trained:
            continue
        for rung in row.rungs:
            fraction = float(rung["fraction"])
            if fraction < 1:
                pairs.setdefault(fraction, []).append((float(rung["value"]), row.score))
                entries.setdefault(fraction, set()).add(row.entry_id)
    return tuple(
        Agreement(
            fraction=fraction,
            n=len(at_rung),
            rho=spearman(*zip(*at_rung, strict=True)) if len(at_rung) >= MIN_PAIRS else None,
            entries=len(entries[fraction]),
        )
        for fraction, at_rung in sorted(pairs.items())
    )


def line(by_rung: Sequence[Agreement]) -> str:
    """The agreements in one line."""
    if not by_rung:
        return "early rungs: none recorded"
    parts = [f"at {a.fraction:.0%} of the budget {a.text}" for a in by_rung]
    return f"early rungs: Spearman with the final order of completed trials {', '.join(parts)}"
