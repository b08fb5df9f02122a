"""Whether another kind of equal budget would have another leader (contract 4).

The trials of a sweep spend alike in one kind (FLOPs, images or device-seconds). Their rungs say
how each was doing on `select` on the way; read at an amount of another kind, log-linearly between
two rungs and never beyond them, they say who led there. The amount is the largest at which most
entries can be read, the one that leads at the sweep's own budget always among them. A note, not a
ranking: rungs are few, early ones are judged on a shorter average and before a learning rate has
decayed, the leader is the best of several noisy values, and the seconds are those of the machine
the trials ran on.
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
    of: int  # entries ranked
    leader: str
    usual: str
    leader_id: str
    usual_id: str
    sure: bool  # the two are further apart there than training and sampling spread explain

    @property
    def changes(self) -> bool:
        return self.leader_id != self.usual_id


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
    curves = {i: _curve(place, kind) for i, place in enumerate(ranking.ranked)}
    curves = {i: curve for i, curve in curves.items() if curve}
    if not curves:
        return None
    sign = -1.0 if ranking.rows[0].protocol.get("direction", "min") == "max" else 1.0
    usual = min(curves, key=lambda i: sign * curves[i][-1][1])
    first, last = curves[usual][0][0], curves[usual][-1][0]
    amounts = [curve[-1][0] for curve in curves.values() if first <= curve[-1][0] <= last]
    amount = max(amounts, key=lambda at: (sum(_covers(c, at) for c in curves.values()), at))
    values = {i: _read(curve, amount) for i, curve in curves.items() if _covers(curve, amount)}
    if len(values) < 2:
        return None
    leader = min(values, key=lambda i: sign * values[i])
    sd = math.hypot(*(_rel_sd(ranking, ranking.ranked[i]) for i in (leader, usual)))
    gap = abs(values[leader] - values[usual]) / max(abs(values[usual]), 1e-12)
    best, own = (ranking.ranked[i].entry for i in (leader, usual))
    return Other(
        kind=kind,
        amount=amount,
        n=len(values),
        of=len(ranking.ranked),
        leader=best.first.label,
        usual=own.first.label,
        leader_id=best.entry_id,
        usual_id=own.entry_id,
        sure=gap > 1.96 * sd,
    )


def _rel_sd(ranking: Ranking, ranked: Ranked) -> float:
    """Of an entry's value on `select`: the spread between training seeds, and that of drawing
    samples (the largest of its rungs; of the score where rungs do not say)."""
    entry = ranked.entry
    rungs = [r for row in entry.scored for r in row.rungs]
    sampling = [r["se"] / abs(r["value"]) for r in rungs if r.get("se") and r["value"]]
    if not sampling and ranked.score:
        sampling = [row.score_se / abs(ranked.score) for row in entry.scored if row.score_se]
    training, _ = ranking.spread.of(entry)
    return math.hypot(training, max(sampling, default=0.0)) / math.sqrt(len(entry.scored))


def _curve(ranked: Ranked, kind: str) -> Curve:
    """The way through the rungs, the mean over the scored seeds."""
    whole = max(len(row.rungs) for row in ranked.entry.scored)
    seeds: list[Curve] = []
    for row in ranked.entry.scored:
        points = [
            (x, float(r["value"])) for r in row.rungs if (x := _spent(row, r, kind)) is not None
        ]
        if len(points) == whole > 1:
            seeds.append(sorted(points))
    return [
        (_mean(xs), _mean(ys))
        for xs, ys in (zip(*at, strict=True) for at in zip(*seeds, strict=True))
    ]


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _covers(curve: Curve, amount: float) -> bool:
    return curve[0][0] <= amount <= curve[-1][0]


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
    between = "(interpolated between rungs on select)"
    return f"other budgets: {'; '.join(_clause(other) for other in found)} {between}"


def _clause(other: Other) -> str:
    where = f"at equal {NAMES[other.kind]} ({_amount(other)}, {other.n} of {other.of} entries)"
    if not other.changes:
        return f"{where} the same entry leads, {other.usual}"
    sure = "" if other.sure else ", within their error"
    return f"{where} {other.leader} leads instead of {other.usual}{sure}"


def _amount(other: Other) -> str:
    if other.kind == "gpu-seconds":
        return f"{other.amount:.3g} s"
    if other.kind == "nimg":
        return f"{other.amount / 1000:.3g} kimg"
    return f"{other.amount / 1000:.3g} forward TFLOP"
