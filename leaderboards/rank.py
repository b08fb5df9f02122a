"""Ranks with their uncertainty: who may be best, and how far each entry's rank is known.

Entries are compared in pairs on the mean score over seeds (estimand: the expected score of a new
training of that configuration, sampled anew). Variance of a mean = training variance / seeds +
sampling variance; t tests, two-sided, corrected by Holm (1979) over all pairs, so that with 95 %
confidence no pair is called different by chance or ordered the wrong way round. From the pairs
follow simultaneous rank intervals [1 + significantly better, n - significantly worse], as in
Mogstad, Romano, Shaikh and Wilhelm (2024, Review of Economic Studies). Scores on the ratio scale
are compared as logarithms, where a relative spread is an absolute one, if all are positive; scores
on the difference scale as they are. Which way is better is the score's own (contract 7).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtr

from leaderboards.entries import Entry, gather
from leaderboards.measures import Measure
from leaderboards.rows import OUTCOMES, Row
from leaderboards.spread import SeedSpread, seed_spread

ALPHA = 0.05
OPTIMISM_DRAWS = 2000


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """An entry with its place: ranks rank_low..rank_high are all compatible with what was seen.

    `training_sd` is the spread of one training (score units), `total_se` the standard error of
    the score with both spreads in it. Entries of one `tier` are not told apart.
    """

    entry: Entry
    score: float
    rank_low: int
    rank_high: int
    tier: str
    may_be_best: bool
    training_sd: float | None
    training_source: str  # own, pooled, borrowed, assumed, none, untrained
    total_se: float | None


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """Entries of one workload, scale and protocol; never more than one protocol."""

    workload: str
    scale: str
    protocol_digest: str
    rows: tuple[Row, ...]
    ranked: tuple[Ranked, ...]
    unranked: tuple[Entry, ...]
    spread: SeedSpread
    winner: Ranked | None
    optimism: float | None  # score units by which the leading, unconfirmed score flatters

    @property
    def measure(self) -> Measure:
        """What the scores are."""
        return self.rows[0].score_measure

    @property
    def may_be_best(self) -> tuple[Ranked, ...]:
        return tuple(ranked for ranked in self.ranked if ranked.may_be_best)


def rankings(rows: Sequence[Row]) -> list[Ranking]:
    """One ranking for each (workload, scale, protocol) among distinct rows; the largest first."""
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.workload, row.scale, row.protocol_digest), []).append(row)
    ordered = sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    return [rank(group) for _, group in ordered]


def rank(rows: Sequence[Row]) -> Ranking:
    """Rank the entries of rows that share workload, scale and protocol."""
    entries = gather(rows)
    done = [entry for entry in entries if entry.scores]
    unscored = [entry for entry in entries if not entry.scores]
    measure = rows[0].score_measure
    sign = measure.sign
    spread = seed_spread(done)
    estimates = estimate(done, spread)
    better = significantly_better(estimates, sign)
    tiers = _tiers(better)
    ranked = [_place(entry, estimates, better, spread, tiers[i], i) for i, entry in enumerate(done)]
    order = sorted(
        range(len(done)), key=lambda i: (tiers[i], sign * ranked[i].score, done[i].entry_id)
    )
    placed = tuple(ranked[i] for i in order)
    best = [place for place in placed if place.may_be_best]
    alone = len(best) == 1 and len(placed) > 1
    return Ranking(
        workload=rows[0].workload,
        scale=rows[0].scale,
        protocol_digest=rows[0].protocol_digest,
        rows=tuple(rows),
        ranked=placed,
        unranked=tuple(sorted(unscored, key=lambda entry: _unscored_order(entry, sign))),
        spread=spread,
        winner=best[0] if alone and best[0].entry.confirmed else None,
        optimism=_optimism(placed, measure),
    )


@dataclass(frozen=True, kw_only=True)
class Estimates:
    """Scores of n entries on the scale they are compared on, float64 [n] each.

    `x` is the score or its logarithm; `training` the training error of the mean in multiples of
    `unit` (|score| where spreads are relative and x is the score, else 1); `sampling` the sampling
    error of x; both infinite where neither spread is known. `df` are degrees of freedom of the
    error.
    """

    x: NDArray[np.float64]
    training: NDArray[np.float64]
    sampling: NDArray[np.float64]
    unit: NDArray[np.float64]
    df: NDArray[np.float64]


def estimate(entries: Sequence[Entry], spread: SeedSpread) -> Estimates:
    """Estimates of entries that each have a score."""
    scores = np.array([entry.score for entry in entries], float)
    logarithmic = spread.relative and bool((scores > 0).all())
    spreads = [spread.of(entry) for entry in entries]
    seeds = np.array([len(entry.scores) for entry in entries], float)
    unknown = math.inf if spread.kind == "none" else 0.0
    errors = [entry.score_se for entry in entries]
    sampling = np.array([unknown if error is None else error for error in errors], float)
    return Estimates(
        x=np.log(scores) if logarithmic else scores,
        training=np.array([sd for sd, _ in spreads], float) / np.sqrt(seeds),
        sampling=sampling / scores if logarithmic else sampling,
        unit=np.abs(scores) if spread.relative and not logarithmic else np.ones_like(scores),
        df=np.array([df for _, df in spreads], float),
    )


def significantly_better(
    estimates: Estimates, sign: float = 1.0, alpha: float = ALPHA
) -> NDArray[np.bool_]:
    """[n, n] bool: [i, j] where entry i is better than entry j (lower, for sign 1), by Holm.

    A pair's training variance is taken at the mean of their two units: under the hypothesis that
    they are equal both have it.
    """
    n = len(estimates.x)
    better = np.zeros((n, n), bool)
    if n < 2:
        return better
    i, j = np.triu_indices(n, 1)
    unit = (estimates.unit[i] + estimates.unit[j]) / 2
    training = np.hypot(estimates.training[i], estimates.training[j]) * unit
    error = np.hypot(training, np.hypot(estimates.sampling[i], estimates.sampling[j]))
    gap = sign * (estimates.x[j] - estimates.x[i])  # positive: i is better
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.abs(gap) / error
    t = np.where(np.isnan(t), 0.0, t)  # equal scores without any error: a tie
    p = 2 * _upper_tail(t, np.minimum(estimates.df[i], estimates.df[j]))
    order = np.argsort(p, kind="stable")
    passed = p[order] <= alpha / (len(p) - np.arange(len(p)))
    stop = len(p) if passed.all() else int(np.argmin(passed))
    won = order[:stop]
    ahead = gap[won] > 0
    better[np.where(ahead, i[won], j[won]), np.where(ahead, j[won], i[won])] = True
    return better


def _upper_tail(t: NDArray[np.float64], df: NDArray[np.float64]) -> NDArray[np.float64]:
    """P(T > t) of Student's t; normal where df is infinite."""
    finite = np.isfinite(df)
    tail: NDArray[np.float64] = np.where(finite, stdtr(np.where(finite, df, 1.0), -t), ndtr(-t))
    return tail


def _place(
    entry: Entry,
    estimates: Estimates,
    better: NDArray[np.bool_],
    spread: SeedSpread,
    tier: int,
    index: int,
) -> Ranked:
    """The entry with its rank interval and its two spreads in score units."""
    score = entry.score
    assert score is not None
    known = spread.kind != "none" or entry.entry_id in spread.untrained
    training = spread.in_units(entry, score) if known else None
    total = math.hypot((training or 0.0) / math.sqrt(len(entry.scores)), entry.score_se or 0.0)
    low = 1 + int(better[:, index].sum())
    return Ranked(
        entry=entry,
        score=score,
        rank_low=low,
        rank_high=len(better) - int(better[index].sum()),
        tier=tier_letters(tier),
        may_be_best=low == 1,
        training_sd=training,
        training_source=_source(entry, spread),
        total_se=total if known or entry.score_se is not None else None,
    )


def _source(entry: Entry, spread: SeedSpread) -> str:
    """Where the entry's training spread comes from."""
    if entry.entry_id in spread.untrained:
        return "untrained"
    if spread.kind in ("none", "assumed"):
        return spread.kind
    if entry.entry_id in spread.outliers:
        return "own"
    return "pooled" if len(entry.scores) >= 2 else "borrowed"


def _optimism(placed: Sequence[Ranked], measure: Measure) -> float | None:
    """How much the best of these noisy scores flatters, in score units; None where confirmed.

    Parametric bootstrap of the best: take the scores seen as the truth, draw their noise again
    OPTIMISM_DRAWS times (fixed seed, each with its mirror image, each score's draws with the score
    as their mean), and average how far the best draw lies beyond its own truth: never below zero.
    """
    sign = measure.sign
    if len(placed) < 2 or min(placed, key=lambda p: sign * p.score).entry.confirmed:
        return None
    errors = [place.total_se for place in placed]
    if any(error is None for error in errors):
        return None
    truth = np.array([place.score for place in placed])
    half = np.random.default_rng(0).standard_normal((OPTIMISM_DRAWS // 2, len(placed)))
    noise = np.array(errors, float) * np.concatenate([half, -half])
    if measure.scale == "ratio" and (truth > 0).all():
        rel = noise / truth
        seen = truth * np.exp(rel) / np.exp(rel).mean(axis=0)
    else:
        seen = truth + noise
    best = (sign * seen).argmin(axis=1)
    return max(0.0, float(np.mean(sign * (truth[best] - seen[np.arange(len(seen)), best]))))


def _unscored_order(entry: Entry, sign: float) -> tuple[int, float, float, str]:
    """Unranked entries: by outcome, then the furthest rung first, then the best value there."""
    rung = entry.last_rung
    fraction, value = (float(rung["fraction"]), sign * rung["value"]) if rung else (0.0, math.inf)
    return OUTCOMES.index(entry.outcome), -fraction, value, entry.entry_id


def _tiers(better: NDArray[np.bool_]) -> list[int]:
    """Peel: a tier is all entries that no remaining entry beats, so none in it are told apart."""
    tiers = [-1] * len(better)
    left = np.ones(len(better), bool)
    level = 0
    while left.any():
        top = left & ~better[left].any(axis=0)
        for k in np.flatnonzero(top):
            tiers[k] = level
        left &= ~top
        level += 1
    return tiers


def tier_letters(level: int) -> str:
    """0 -> A, 25 -> Z, 26 -> AA."""
    letters = ""
    level += 1
    while level:
        level, place = divmod(level - 1, 26)
        letters = chr(ord("A") + place) + letters
    return letters
