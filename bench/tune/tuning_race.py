"""Who goes on in a race, and on how many cases it is run next. Pure functions.

Successive halving (Jamieson and Talwalkar 2016, arXiv 1502.07943): each round measures those left
on more cases and keeps the better half. Ours: predictions add up, so a round draws only what is
new; a ladder of the best with at most half, a quarter ... of the leader's evaluations stays, since
few evaluations are asked for as well as quality; and the size of a round follows from the seconds
that are left, so that a slow machine has smaller rounds and not a longer race.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

FINALISTS = 5
FEW_FINALISTS = 3  # where measuring five would take more than half of the budget
FEWEST = 4  # cases of a first round
DEARER = 1.4  # finalists have more evaluations than the design's mean, measured: 1.2 to 1.5 times


def rounds_of(candidates: int, finalists: int) -> int:
    """Rounds before the finalists are measured on all cases."""
    return max(1, math.ceil(math.log2(max(candidates / finalists, 1))))


def ladder(order: Sequence[int], nfe: Mapping[int, int]) -> list[int]:
    """Of candidates, best first: the best, the best with at most half its evaluations, the best
    with at most half of those ..."""
    kept: list[int] = []
    limit = math.inf
    for number in order:
        if nfe[number] <= limit:
            kept.append(number)
            limit = nfe[number] / 2
    return kept


def going_on(order: Sequence[int], nfe: Mapping[int, int], count: int) -> list[int]:
    """So many of the candidates (best first): the ladder's, half of them at most, and the best.
    Candidate 0, which all are compared with, goes on whatever it scored."""
    rungs = ladder(order, nfe)[: max(1, count // 2)]
    chosen = [*rungs, *(number for number in order if number not in rungs)][:count]
    return chosen if 0 in chosen else [*chosen, 0]


def finals_sec(finalists: int, cases: int, mean_nfe: float, sec_per_pass: float) -> float:
    """Seconds of measuring the finalists and candidate 0 on all cases of both parts; `mean_nfe` is
    the design's."""
    return 2 * (finalists + 1) * cases * mean_nfe * DEARER * sec_per_pass


def finalists_that_fit(cases: int, mean_nfe: float, sec_per_pass: float, budget_sec: float) -> int:
    """How many finalists there are."""
    needed = finals_sec(FINALISTS, cases, mean_nfe, sec_per_pass)
    return FINALISTS if needed <= budget_sec / 2 else FEW_FINALISTS


def cases_next(had: int, most: int, passes_a_case: int, sec_per_pass: float, seconds: float) -> int:
    """Cases of a round that may take so many seconds: `passes_a_case` evaluations for each case of
    all that are in it, `had` cases of which are there."""
    affordable = int(seconds / max(passes_a_case * sec_per_pass, 1e-12))
    return min(most, max(had + max(affordable, 1), FEWEST))


def front(points: Mapping[int, tuple[float, ...]], near: Sequence[float]) -> list[int]:
    """Those of which no other is at least as good in every number and better in one; lower is
    better. `near`: the share within which two values of a number count as equal."""

    def beats(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
        sides = list(zip(one, other, near, strict=True))
        no_worse = all(a <= b + share * abs(b) for a, b, share in sides)
        return no_worse and any(a < b - share * abs(b) for a, b, share in sides)

    every = points.values()
    return [n for n, own in points.items() if not any(beats(other, own) for other in every)]
