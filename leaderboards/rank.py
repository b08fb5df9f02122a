"""Ranks with their uncertainty: who may be best, how far behind others are, and in which order.

The estimand is an entry's expected score: of a new training of that configuration, sampled anew,
on the population that the report part's subjects were drawn from. Who may be best is a comparison
with the best (leaderboards.best), its 5 % spent over all looks (leaderboards.looks). A whole order
is claimed only pair by pair: t tests, two-sided, corrected by Holm (1979) over all pairs, so that
with 95 % confidence no pair is ordered the wrong way round; from the pairs follow simultaneous rank
intervals [1 + significantly better, n - significantly worse], as in Mogstad, Romano, Shaikh and
Wilhelm (2024, Review of Economic Studies). Before anything was trained twice there are no rank
intervals.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtr

from leaderboards import looks, second_judge
from leaderboards.barred import Barred, barred
from leaderboards.best import ALPHA, Errors, WithBest, chances, with_best
from leaderboards.entries import Entry, gather
from leaderboards.estimates import errors_of
from leaderboards.measures import Measure
from leaderboards.rows import ON_ITS_WAY, OUTCOMES, Row
from leaderboards.second_judge import SecondJudge
from leaderboards.spread import SeedSpread, sampling_variance, seed_spread

OPTIMISM_DRAWS = 2000


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """An entry with its place: ranks rank_low..rank_high are all compatible with what was seen;
    None before anything was trained twice.

    behind: of one that may be best, with 95 % confidence for all of those and all looks at once: it
    is no further behind the best than this (a share of the best's score on the ratio scale, else
    in the score's unit). chance: that it is the best, by drawing all errors again. `training_sd` is
    the spread of one training (score units), `total_se` the standard error of the score with
    everything in it. Entries of one `tier` are not told apart.
    """

    entry: Entry
    score: float
    rank_low: int | None
    rank_high: int | None
    tier: str
    may_be_best: bool
    behind: float | None
    chance: float
    training_sd: float | None
    training_source: str  # "measured" here, "borrowed" from its cell, "assumed" or "none"
    total_se: float | None


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """Entries of one workload, scale and protocol; never more than one protocol.

    look: of all looks at new seeds, the last; 0 before there were any. level: what it may spend of
    the 5 % for all of them. under_way: confirming trials that have not ended; until they have there
    is no winner. barred: entries that cannot be the winner; no comparison knows them. alone: who
    would be the winner by the score; second_judges: what they say of the leader.
    one_extractor: the score rests on one and there is no second judge.
    """

    workload: str
    scale: str
    protocol_digest: str
    rows: tuple[Row, ...]
    ranked: tuple[Ranked, ...]
    unranked: tuple[Entry, ...]
    barred: tuple[Barred, ...]
    spread: SeedSpread
    alone: Ranked | None
    second_judges: tuple[SecondJudge, ...]
    one_extractor: bool
    look: int
    level: float
    under_way: int
    optimism: float | None  # score units by which the leading, unconfirmed score flatters

    @property
    def measure(self) -> Measure:
        """What the scores are."""
        return self.rows[0].score_measure

    @property
    def winner(self) -> Ranked | None:
        """The one that stands alone by the score, if it does so under a second extractor too."""
        stands = not self.one_extractor and all(judge.stands for judge in self.second_judges)
        return self.alone if stands else None

    @property
    def leader(self) -> Ranked:
        """The first by score of those that may be best."""
        return self.measure.in_order(self.may_be_best, lambda place: place.score)[0]

    @property
    def may_be_best(self) -> tuple[Ranked, ...]:
        return tuple(ranked for ranked in self.ranked if ranked.may_be_best)

    @property
    def compared(self) -> tuple[Row, ...]:
        """The rows but those of barred entries."""
        shut = {one.entry.entry_id for one in self.barred}
        return tuple(row for row in self.rows if row.entry_id not in shut)


def rankings(rows: Sequence[Row], measures: Sequence[Measure] = ()) -> list[Ranking]:
    """One ranking for each (workload, scale, protocol) among distinct rows; the largest first."""
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.workload, row.scale, row.protocol_digest), []).append(row)
    ordered = sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    return [rank(group, measures) for _, group in ordered]


def rank(rows: Sequence[Row], measures: Sequence[Measure] = ()) -> Ranking:
    """Rank the entries of rows that share workload, scale and protocol.

    `measures` may bar some, and say what a winner has to stand under; empty: nothing is known.
    """
    every = rows
    shut = barred(gather(rows), measures)
    closed = {one.entry.entry_id for one in shut}
    rows = [row for row in rows if row.entry_id not in closed]
    entries = gather(rows)
    done = [entry for entry in entries if entry.scores]
    unscored = [entry for entry in entries if not entry.scores]
    measure = every[0].score_measure
    sign = measure.sign
    spread = seed_spread(done)
    ranked: list[Ranked] = []
    seen = looks.looks_of(rows)
    look = max(seen.values(), default=0)
    level = looks.level_of(rows, look)
    under_way = sum(row.origin == "confirm" and row.outcome in ON_ITS_WAY for row in rows)
    if done:
        errors = errors_of(done, spread)
        bounds = looks.earlier(done, looks.left_by_earlier(rows, seen))
        best, chance = with_best(errors, level, bounds), chances(errors)
        better = significantly_better(errors)
        tiers = (
            _tiers(better) if spread.kind != "assumed" else [int(not b) for b in best.may_be_best]
        )
        ranked = [
            _place(entry, errors, best, chance[i], better, spread, tiers[i], i)
            for i, entry in enumerate(done)
        ]
    order = sorted(ranked, key=lambda p: (_level(p.tier), sign * p.score, p.entry.entry_id))
    placed = tuple(order)
    chosen = [place for place in placed if place.may_be_best]
    only = len(chosen) == 1 and len(placed) > 1 and not under_way
    ranking = Ranking(
        workload=every[0].workload,
        scale=every[0].scale,
        protocol_digest=every[0].protocol_digest,
        rows=tuple(every),
        ranked=placed,
        unranked=tuple(sorted(unscored, key=lambda entry: _unscored_order(entry, sign))),
        barred=shut,
        spread=spread,
        alone=chosen[0] if only and chosen[0].entry.confirmed else None,
        second_judges=(),
        one_extractor=False,
        look=look,
        level=level,
        under_way=under_way,
        optimism=_optimism(done, errors, measure, spread.relative) if done else None,
    )
    if len(placed) < 2 or second_judge.EXTRACTOR not in every[0].protocol or not measures:
        return ranking
    judges = tuple(
        second_judge.heard(witness, ranking.leader, rank(seen_by))
        for witness in second_judge.witnesses(measures, measure)
        if (seen_by := second_judge.under(rows, witness))
    )
    return replace(ranking, second_judges=judges, one_extractor=not judges)


def significantly_better(errors: Errors, alpha: float = ALPHA) -> NDArray[np.bool_]:
    """[n, n] bool: [i, j] where entry i is better than entry j, by Holm over all pairs."""
    n = len(errors.x)
    better = np.zeros((n, n), bool)
    if n < 2:
        return better
    i, j = np.triu_indices(n, 1)
    error = np.sqrt(errors.pair_variance()[i, j])
    gap = errors.x[j] - errors.x[i]  # positive: i is better
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.abs(gap) / error
    t = np.where(np.isnan(t), 0.0, t)  # equal scores without any error: a tie
    p = 2 * _upper_tail(t, errors.pair_df()[i, j])
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
    errors: Errors,
    best: WithBest,
    chance: float,
    better: NDArray[np.bool_],
    spread: SeedSpread,
    tier: int,
    index: int,
) -> Ranked:
    """The entry with its rank interval and its errors in score units."""
    score = entry.score
    assert score is not None
    unit = abs(score) if spread.relative else 1.0
    trained = entry.first.trained
    measured = spread.kind != "assumed"
    one = spread.of(entry).variance + spread.block * trained
    training = math.sqrt(max(0.0, one - sampling_variance(entry, spread.relative)))
    behind = float(best.behind[index])
    if spread.relative:
        sign = entry.first.score_measure.sign
        behind = sign * math.expm1(sign * min(behind, 700.0))
    return Ranked(
        entry=entry,
        score=score,
        rank_low=1 + int(better[:, index].sum()) if measured else None,
        rank_high=len(better) - int(better[index].sum()) if measured else None,
        tier=tier_letters(tier),
        may_be_best=bool(best.may_be_best[index]),
        behind=behind if best.may_be_best[index] else None,
        chance=float(chance),
        training_sd=training * unit if trained else None,
        training_source=_source(entry, spread),
        total_se=float(errors.standard_errors()[index]) * unit,
    )


def _source(entry: Entry, spread: SeedSpread) -> str:
    """Where the entry's training spread comes from."""
    if not entry.first.trained:
        return "none"
    if not spread.of(entry).replicated:
        return "assumed"
    return "measured" if len(entry.scores) >= 2 else "borrowed"


def _optimism(
    entries: Sequence[Entry], errors: Errors, measure: Measure, relative: bool
) -> float | None:
    """How much the best of these noisy scores flatters, in score units; None where confirmed.

    Parametric bootstrap of the best: take the scores seen as the truth, draw their noise again
    OPTIMISM_DRAWS times (fixed seed, each with its mirror image, each score's draws with the score
    as their mean), and average how far the best draw lies beyond its own truth: never below zero.
    What entries share in an error does not choose between them, and is drawn for all alike.
    """
    sign = measure.sign
    truth = np.array([entry.score for entry in entries], float)
    if len(entries) < 2 or entries[int((sign * truth).argmin())].confirmed:
        return None
    half = errors.draws(OPTIMISM_DRAWS // 2, np.random.default_rng(0))
    noise = np.concatenate([half, -half])
    seen = truth * np.exp(noise) / np.exp(noise).mean(axis=0) if relative else truth + noise
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


def _level(letters: str) -> int:
    """The level of a tier's letters."""
    level = 0
    for letter in letters:
        level = level * 26 + ord(letter) - ord("A") + 1
    return level - 1


def tier_letters(level: int) -> str:
    """0 -> A, 25 -> Z, 26 -> AA."""
    letters = ""
    level += 1
    while level:
        level, place = divmod(level - 1, 26)
        letters = chr(ord("A") + place) + letters
    return letters
