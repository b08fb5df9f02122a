"""How far early rungs agree with the final order: Spearman's rank correlation, with its n.

Taken over completed trials only, and only those that train: an estimator's rungs are its end.
Pruning has removed the trials that looked worst, which narrows the range and tends to understate
the agreement.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from leaderboards.rows import Row

MIN_PAIRS = 4


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Spearman's rho between a rung at `fraction` of the budget and the score; None: no order."""

    fraction: float
    n: int
    rho: float | None


def spearman(first: ArrayLike, second: ArrayLike) -> float | None:
    """Spearman's rho; None where one side is constant or there are fewer than two pairs."""
    from scipy.stats import spearmanr  # half a second to import

    if min(np.unique(first).size, np.unique(second).size) < 2:
        return None
    return float(spearmanr(first, second).statistic)


def agreements(rows: Sequence[Row]) -> tuple[Agreement, ...]:
    """One for each rung below the full budget, by fraction, over completed rows."""
    pairs: dict[float, list[tuple[float, float]]] = {}
    for row in rows:
        if row.outcome != "completed" or row.score is None or not row.trained:
            continue
        for rung in row.rungs:
            fraction = float(rung["fraction"])
            if fraction < 1:
                pairs.setdefault(fraction, []).append((float(rung["value"]), row.score))
    return tuple(
        Agreement(
            fraction=fraction,
            n=len(at_rung),
            rho=spearman(*zip(*at_rung, strict=True)) if len(at_rung) >= MIN_PAIRS else None,
        )
        for fraction, at_rung in sorted(pairs.items())
    )


def line(by_rung: Sequence[Agreement]) -> str:
    """The agreements in one line."""
    if not by_rung:
        return "early rungs: none recorded"
    parts = [
        f"at {a.fraction:.0%} of the budget "
        + (f"{a.rho:.2f}" if a.rho is not None else "unknown")
        + f" (n={a.n})"
        for a in by_rung
    ]
    return f"early rungs: Spearman with the final order of completed trials {', '.join(parts)}"
