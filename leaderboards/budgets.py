"""Whether another kind of equal budget would have another leader (contract 4).

The trials of a sweep spend alike in one kind (FLOPs, images or device-seconds). Their rungs say
how each was doing on `select` on the way; read at the largest amount of another kind that all
entries reached, log-linearly between two rungs and never beyond them, they say who led there. A
note, not a ranking: rungs are few, early ones are judged on a shorter average, and the seconds are
those of the machine the trials ran on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from leaderboards.rank import Ranked, Ranking
from leaderboards.rows import Row

NAMES = {"nimg": "images", "gpu-seconds": "device-seconds of training", "flops": "FLOPs"}
Curve = list[tuple[float, float]]  # amount spent and value, rising in the first


@dataclass(frozen=True, kw_only=True)
class Other:
    """Who leads on `select` when all have spent `amount` of `kind`; and who at the full budget."""

    kind: str
    amount: float  # images, seconds, or forward GFLOPs times images
    n: int  # entries compared
    leader: str
    usual: str
    sure: bool  # the two are further apart there than training and sampling spread explain

    @property
    def changes(self) -> bool:
        return self.leader != self.usual


def own_kind(ranking: Ranking) -> str:
    """What the trials had to spend alike."""
    protocol = ranking.rows[0].protocol if ranking.rows else {}
    return str(protocol.get("equal", "flops"))


def others(ranking: Ranking) -> list[Other]:
    """One for each other kind in which at least two entries can be compared."""
    found = [at_equal(ranking, kind) for kind in NAMES if kind != own_kind(ranking)]
    return [other for other in found if other is not None]


def at_equal(ranking: Ranking, kind: str) -> Other | None:
    """The comparison at equal amounts of one kind; None where it cannot be made."""
    curves = [_curve(ranked, kind) for ranked in ranking.ranked]
    known = [i for i, curve in enumerate(curves) if curve]
    if len(known) < 2:
        return None
    amount = min(curves[i][-1][0] for i in known)
    values = {i: _read(curves[i], amount) for i in known if curves[i][0][0] <= amount}
    if len(values) < 2:
        return None
    sign = -1.0 if ranking.rows[0].protocol.get("direction", "min") == "max" else 1.0
    leader = min(values, key=lambda i: sign * values[i])
    usual = min(values, key=lambda i: sign * curves[i][-1][1])
    sd = math.hypot(*(_rel_sd(ranking, ranking.ranked[i]) for i in (leader, usual)))
    gap = abs(values[leader] - values[usual]) / max(abs(values[usual]), 1e-12)
    return Other(
        kind=kind,
        amount=amount,
        n=len(values),
        leader=ranking.ranked[leader].entry.first.label,
        usual=ranking.ranked[usual].entry.first.label,
        sure=gap > 1.96 * sd,
    )


def _rel_sd(ranking: Ranking, ranked: Ranked) -> float:
    """Of one value: the spread between training seeds, and that of drawing samples (as of the
    score; rungs draw no more samples than that)."""
    error, score = ranked.entry.scored[0].score_se, ranked.score
    return math.hypot(ranking.spread.rel_sd, (error or 0.0) / abs(score) if score else 0.0)


def _curve(ranked: Ranked, kind: str) -> Curve:
    """The first scored seed's way through its rungs."""
    row = ranked.entry.scored[0]
    points = [(x, float(r["value"])) for r in row.rungs if (x := _spent(row, r, kind)) is not None]
    points.sort()
    return points if len(points) > 1 else []


def _spent(row: Row, rung: dict[str, float], kind: str) -> float | None:
    if kind == "gpu-seconds":
        return rung.get("train_sec")
    if kind == "flops" and row.gflops_per_img is None:
        return None
    nimg = rung.get("nimg")
    if nimg is None:
        return None
    return nimg * (float(row.gflops_per_img or 0.0) if kind == "flops" else 1.0)


def _read(curve: Curve, at: float) -> float:
    """The value at `at`, which lies within the curve; powers between two rungs where it can."""
    for (x0, y0), (x1, y1) in pairwise(curve):
        if at <= x1:
            if min(x0, y0, y1) <= 0:
                return y0 + (y1 - y0) * (at - x0) / (x1 - x0) if x1 > x0 else y1
            share = math.log(at / x0) / math.log(x1 / x0) if x1 > x0 else 1.0
            return y0 * math.exp(share * math.log(y1 / y0))
    return curve[-1][1]


def line(found: Sequence[Other]) -> str | None:
    """All of it in one sentence; None where nothing can be said."""
    if not found:
        return None
    return "other budgets: on select, " + "; ".join(_clause(other) for other in found)


def _clause(other: Other) -> str:
    where = f"at equal {NAMES[other.kind]} ({_amount(other)}, {other.n} entries)"
    if not other.changes:
        return f"{where} the same entry leads"
    sure = "" if other.sure else ", within their error"
    return f"{where} {other.leader} leads instead of {other.usual}{sure}"


def _amount(other: Other) -> str:
    if other.kind == "gpu-seconds":
        return f"{other.amount:.3g} s"
    if other.kind == "nimg":
        return f"{other.amount / 1000:.3g} kimg"
    return f"{other.amount / 1000:.3g} forward TFLOP"
