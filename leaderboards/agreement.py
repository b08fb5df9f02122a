"""How far each rung agrees with the next: Spearman's rank correlation, with its n.

Taken over the trials that went on and that train (an estimator's rungs are its end); the last rung
before the end is compared with the score. Contenders agree less than all trials do, since what is
easy to tell apart is gone: so the better half at the later rung is told beside. How sure it is
follows from the number of entries, since seeds of one are no new pairs: an interval of 95 % by
Fisher's z with Bonett and Wright's (2000) standard error.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from leaderboards.rows import Row

MIN_PAIRS = 4


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Spearman's rho between a rung at `fraction` of the budget and the `later` one, over n trials
    of so many entries; None: no order. better_half: among those better at the later one."""

    fraction: float
    later: float
    n: int
    rho: float | None
    entries: int
    better_half: float | None

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
        """'0.69 (0.02 to 0.93; 9 trials of 8 entries); 0.30 in the better half'."""
        of = f" of {self.entries} entries" if self.entries != self.n else ""
        shown = "unknown" if self.rho is None else f"{self.rho:.2f}"
        sure = "" if (i := self.interval) is None else f"{i[0]:.2f} to {i[1]:.2f} with 95 %; "
        half = "" if self.better_half is None else f"; {self.better_half:.2f} in the better half"
        return f"{shown} ({sure}n={self.n}{f' trials{of}' if of else ''}){half}"


def spearman(first: ArrayLike, second: ArrayLike) -> float | None:
    """Spearman's rho; None where one side is constant or there are fewer than two pairs."""
    from scipy.stats import spearmanr  # half a second to import

    if min(np.unique(first).size, np.unique(second).size) < 2:
        return None
    return float(spearmanr(first, second).statistic)


def agreements(rows: Sequence[Row]) -> tuple[Agreement, ...]:
    """One for each rung below the full budget that trials went on from, by fraction."""
    pairs: dict[tuple[float, float], list[tuple[float, float, str]]] = {}
    for row in rows:
        if not row.trained:
            continue
        values = {float(r["fraction"]): float(r["value"]) for r in row.rungs if r["fraction"] < 1}
        if row.outcome == "completed" and row.score is not None:
            values[1.0] = row.score
        reached = sorted(values)
        for early, late in itertools.pairwise(reached):
            pair = values[early], values[late], row.entry_id
            pairs.setdefault((early, late), []).append(pair)
    sign = rows[0].score_measure.sign if rows else 1.0
    return tuple(
        Agreement(
            fraction=early,
            later=late,
            n=len(those),
            rho=_rho(those),
            entries=len({entry for _, _, entry in those}),
            better_half=_rho(sorted(those, key=lambda p: sign * p[1])[: (len(those) + 1) // 2]),
        )
        for (early, late), those in sorted(pairs.items())
    )


def _rho(pairs: Sequence[tuple[float, float, str]]) -> float | None:
    if len(pairs) < MIN_PAIRS:
        return None
    return spearman([early for early, _, _ in pairs], [late for _, late, _ in pairs])


def line(by_rung: Sequence[Agreement]) -> str:
    """The agreements in one line."""
    if not by_rung:
        return "rungs: none recorded"
    parts = [f"{100 * a.fraction:.3g} % with {100 * a.later:.3g} %: {a.text}" for a in by_rung]
    return f"agreement of rungs (Spearman, of the trials that went on): {'; '.join(parts)}"
