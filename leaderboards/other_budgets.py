"""Whether another kind of equal budget would have another leader (contract 4).

The trials of a sweep spend alike in one kind (FLOPs, images or device-seconds). Their rungs say
how each was doing on `select` on the way; read at an amount of another kind, between two rungs
(scores on the ratio scale by a power law, others linearly in the logarithm of the amount) and never
beyond them, they say who led there. An entry that trains nothing has its value at every amount.
The amount is the largest at which most
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

FORWARD_GFLOPS = "size/gflops_per_img"  # the value of a row that FLOPs are counted by
NAMES = {"nimg": "images", "gpu-seconds": "device-seconds of training", "flops": "FLOPs"}
Curve = list[tuple[float, float]]  # amount spent and value, rising in the first


@dataclass(frozen=True, kw_only=True)
class Other:
    """Who leads on `select` when all have spent `amount` of `kind`; and who at the full budget."""

    kind: str
    amount: float  # images, seconds, or forward GFLOPs times images
    n: int  # entries compared
    of: int  # entries ranked
    seeds: tuple[int, int]  # of an entry compared: the fewest and the most
    leader: str
    usual: str
    leader_id: str
    usual_id: str
    sure: bool  # the two differ there, as one unpaired comparison at 95 %

    @property
    def changes(self) -> bool:
        return self.leader_id != self.usual_id


def kind_held_equal(ranking: Ranking) -> str:
    """What the trials had to spend alike."""
    protocol = ranking.rows[0].protocol if ranking.rows else {}
    return str(protocol.get("equal", "flops"))


def others(ranking: Ranking) -> list[Other]:
    """One for each other kind in which at least two entries can be compared."""
    if ranking.ranked and not ranking.ranked[0].entry.first.trained:
        return []  # a leader that spends nothing leads at any budget
    kinds = [kind for kind in NAMES if kind != kind_held_equal(ranking)]
    return [other for kind in kinds if (other := at_equal(ranking, kind)) is not None]


def at_equal(ranking: Ranking, kind: str) -> Other | None:
    """The comparison at equal amounts of one kind; None where it cannot be made."""
    curves = {i: _curve(place, kind) for i, place in enumerate(ranking.ranked)}
    free = {i: c[-1][1] for i, c in curves.items() if c and _is_free(ranking.ranked[i])}
    curves = {i: curve for i, curve in curves.items() if curve and i not in free}
    if not curves:
        return None
    measure = ranking.measure
    usual = min(curves, key=lambda i: measure.sign * curves[i][-1][1])
    first, (last, last_value) = curves[usual][0][0], curves[usual][-1]
    amounts = [curve[-1][0] for curve in curves.values() if first <= curve[-1][0] <= last]
    amount = max(amounts, key=lambda at: (sum(_covers(c, at) for c in curves.values()), at))
    ratio = measure.scale == "ratio"
    values = {i: _read(c, amount, ratio) for i, c in curves.items() if _covers(c, amount)} | free
    if len(values) < 2:
        return None
    usual = min((usual, *free), key=lambda i: measure.sign * (free | {usual: last_value})[i])
    leader = min(values, key=lambda i: measure.sign * values[i])
    sd = math.hypot(*(_sd(ranking, ranking.ranked[i]) for i in (leader, usual)))
    gap = abs(measure.gap(values[leader], values[usual]))
    counts = [len(ranking.ranked[i].entry.scored) for i in values]
    there, at_the_end = (ranking.ranked[i].entry for i in (leader, usual))
    return Other(
        kind=kind,
        amount=amount,
        n=len(values),
        of=len(ranking.ranked),
        seeds=(min(counts), max(counts)),
        leader=there.first.label,
        usual=at_the_end.first.label,
        leader_id=there.entry_id,
        usual_id=at_the_end.entry_id,
        sure=gap > 1.96 * sd,
    )


def _sd(ranking: Ranking, ranked: Ranked) -> float:
    """Of an entry's value on `select`, on the score's scale: the spread between training seeds, and
    that of drawing samples (the largest of its rungs; of the score where rungs do not say)."""
    entry, relative = ranked.entry, ranking.spread.relative
    rungs = [r for row in entry.scored for r in row.rungs]
    errors = [(r["se"], r["value"]) for r in rungs if r.get("se")]
    if not any(value or not relative for _, value in errors):
        errors = [(row.score_se, ranked.score) for row in entry.scored if row.score_se]
    sampling = [
        se / (abs(value) if relative else 1.0) for se, value in errors if value or not relative
    ]
    training = math.sqrt(ranking.spread.of(entry).variance)
    return max(training, max(sampling, default=0.0)) / math.sqrt(len(entry.scored))


def _curve(ranked: Ranked, kind: str) -> Curve:
    """The way through the rungs, the mean over the scored seeds."""
    if not ranked.entry.first.trained:  # it spends none of any kind
        return []
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


def _is_free(ranked: Ranked) -> bool:
    """Whether it trains nothing: a classical method."""
    return all(r.get("train_sec") == 0 for row in ranked.entry.scored for r in row.rungs)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _covers(curve: Curve, amount: float) -> bool:
    return curve[0][0] <= amount <= curve[-1][0]


def _spent(row: Row, rung: dict[str, float], kind: str) -> float | None:
    if kind == "gpu-seconds":
        return rung.get("train_sec")
    nimg = rung.get("nimg")
    per_image = row.values.get(FORWARD_GFLOPS) if kind == "flops" else 1.0
    return None if nimg is None or per_image is None else nimg * per_image


def _read(curve: Curve, at: float, ratio: bool) -> float:
    """The value at `at`, which lies within the curve.

    Between two rungs it is a power of the amount for a score on the ratio scale, linear in the
    amount's logarithm for one on the difference scale, and linear in the amount where there is no
    logarithm."""
    for (x0, y0), (x1, y1) in pairwise(curve):
        if at <= x1:
            if x1 <= x0:
                return y1
            if x0 <= 0 or (ratio and min(y0, y1) <= 0):
                return y0 + (y1 - y0) * (at - x0) / (x1 - x0)
            share = math.log(at / x0) / math.log(x1 / x0)
            return y0 * math.exp(share * math.log(y1 / y0)) if ratio else y0 + (y1 - y0) * share
    return curve[-1][1]


def line(comparisons: Sequence[Other]) -> str | None:
    """All of it in one sentence; None where nothing can be said."""
    if not comparisons:
        return None
    low, high = (f(o.seeds[k] for o in comparisons) for k, f in enumerate((min, max)))
    seeds = f"{low}" if low == high else f"{low} to {high}"
    between = (
        f"(first by value alone, interpolated between rungs on select; {seeds} "
        f"{'seed' if high == 1 else 'seeds'} an entry)"
    )
    return f"other budgets: {'; '.join(_clause(other) for other in comparisons)} {between}"


def _clause(other: Other) -> str:
    where = f"at equal {NAMES[other.kind]} ({_amount(other)}, {other.n} of {other.of} entries)"
    if not other.changes:
        return f"{where} the same entry leads, {other.usual}"
    sure = "by more than" if other.sure else "within"
    return (
        f"{where} {other.leader} leads instead of {other.usual}, {sure} the error of one unpaired "
        "comparison (95 %)"
    )


def _amount(other: Other) -> str:
    if other.kind == "gpu-seconds":
        return f"{other.amount:.3g} s"
    if other.kind == "nimg":
        return f"{other.amount / 1000:.3g} kimg"
    return f"{other.amount / 1000:.3g} forward TFLOP"
