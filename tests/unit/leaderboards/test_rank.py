"""Ranking against known truths: coverage by simulation, and the cases a sweep really has."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from leaderboards.best import Errors
from leaderboards.board import build
from leaderboards.entries import distinct
from leaderboards.rank import rank, rankings, significantly_better, tier_letters
from leaderboards.rows import Row
from leaderboards.spread import PRIOR_DF, PRIOR_SD
from tests.unit.leaderboards.synthetic import row, sweep_rows


@pytest.mark.parametrize("seeds", [2, 3])
@pytest.mark.parametrize("normal", [False, True])
@pytest.mark.parametrize("ties", [False, True])
def test_the_truth_is_covered(seeds: int, normal: bool, ties: bool) -> None:
    """200 sweeps each: the true best may be best, no one that may be is further behind it than
    said, and all true ranks lie in their intervals.

    Nominal 95 % for all pairs of a sweep at once; 0.95 - 3 sqrt(0.95 * 0.05 / 200) = 0.904.
    """
    rng = np.random.default_rng(11)
    best = ranks = within = 0
    for _ in range(200):
        truths = np.exp(rng.normal(4, 0.6, 12))
        if ties:
            truths[1:5] = truths.min()  # five share the first place
        ranking = rank(sweep_rows(truths, rng, seeds=seeds, rel_sd=0.2, normal=normal))
        # the hypothesis is of one best: where several tie, of the first
        best += f"e{int(truths.argmin()):03d}" in {p.entry.entry_id for p in ranking.may_be_best}
        inside, near = [], []
        for place in ranking.ranked:
            truth = truths[int(place.entry.entry_id[1:])]
            low, high = 1 + (truths < truth).sum(), (truths <= truth).sum()
            inside.append(place.rank_low <= low and high <= place.rank_high)
            if place.may_be_best:
                near.append(truth / truths.min() - 1 <= place.behind + 1e-12)
            else:
                assert place.behind is None
        ranks += all(inside)
        within += all(near)
    assert best / 200 >= 0.904
    assert within / 200 >= 0.904
    assert ranks / 200 >= 0.904


def test_intervals_tighten_with_the_evidence() -> None:
    """Not only covered: with little noise the true order is ranking."""
    truths = np.array([10.0, 20.0, 40.0, 80.0])
    rng = np.random.default_rng(0)
    ranking = rank(sweep_rows(truths, rng, seeds=3, rel_sd=0.01))
    assert [(p.rank_low, p.rank_high, p.tier) for p in ranking.ranked] == [
        (1, 1, "A"),
        (2, 2, "B"),
        (3, 3, "C"),
        (4, 4, "D"),
    ]


def test_pairs_agree_with_a_slow_holm_by_scipy() -> None:
    rng = np.random.default_rng(5)
    n = 9
    x, se = rng.normal(0, 3, n), rng.uniform(0.3, 1.0, n)
    df = rng.integers(5, 40, n).astype(float)
    better = significantly_better(Errors(x=x, own=se**2, df=df, seeds=np.zeros((n, 1))))
    pairs = [(i, j) for i in range(n) for j in range(i + 1, n)]
    p = [
        # Welch's test from summaries, of samples of df + 1 with these standard errors
        stats.ttest_ind_from_stats(
            x[i],
            se[i] * np.sqrt(df[i] + 1),
            df[i] + 1,
            x[j],
            se[j] * np.sqrt(df[j] + 1),
            df[j] + 1,
            equal_var=False,
        ).pvalue
        for i, j in pairs
    ]
    slow = np.zeros((n, n), bool)
    for k, index in enumerate(np.argsort(p)):
        if p[index] > 0.05 / (len(p) - k):
            break
        i, j = pairs[index]
        slow[(i, j) if x[i] < x[j] else (j, i)] = True
    assert slow.any()
    assert not slow[np.triu_indices(n)].all()
    np.testing.assert_array_equal(better, slow)


def test_entries_of_a_tier_share_it_and_are_not_told_apart() -> None:
    rng = np.random.default_rng(2)
    truths = np.array([10.0, 10.2, 10.4, 60.0, 61.0])
    ranking = rank(sweep_rows(truths, rng, seeds=3, rel_sd=0.05))
    assert [place.tier for place in ranking.ranked] == ["A", "A", "A", "B", "B"]
    assert {(p.rank_low, p.rank_high) for p in ranking.ranked[:3]} == {(1, 3)}
    assert ranking.winner is None


def test_before_replicates_a_prior_is_stated_and_there_are_no_ranks() -> None:
    """Tier A holds those that may be best, B the others; by the prior and each one's sampling."""
    rows = [row(0, 50.0, score_se=1.0), row(1, 55.0, score_se=0.0), row(2, 9000.0, score_se=1.98)]
    ranking = rank(rows)
    assert (ranking.spread.kind, ranking.spread.df) == ("assumed", PRIOR_DF)
    assert ranking.spread.sd == PRIOR_SD
    assert {place.training_source for place in ranking.ranked} == {"assumed"}
    assert ranking.ranked[0].training_sd == pytest.approx(PRIOR_SD * 50, rel=1e-12)
    assert ranking.ranked[0].total_se == pytest.approx(np.hypot(PRIOR_SD * 50, 1.0), rel=1e-12)
    assert {(p.rank_low, p.rank_high) for p in ranking.ranked} == {(None, None)}
    assert [(p.tier, p.may_be_best) for p in ranking.ranked] == [
        *(("A", True), ("A", True), ("B", False))
    ]
    assert ranking.winner is None
    # one pair trained twice: then there are ranks
    ranked = rank([*rows, row(3, 52.0, entry_id="e000", seed=9)]).ranked
    assert all(p.rank_low is not None and p.rank_high is not None for p in ranked)


@pytest.mark.parametrize("rel_sd", [0.05, 0.2])
def test_the_best_is_covered_where_the_spread_is_assumed(rel_sd: float) -> None:
    """200 sweeps whose training spread is the prior's or less; bound as in the test above."""
    rng = np.random.default_rng(12)
    covered = within = 0
    for _ in range(200):
        truths = np.exp(rng.normal(4, 0.6, 12))
        ranking = rank(sweep_rows(truths, rng, rel_sd=rel_sd, rel_se=0.05))
        assert ranking.spread.kind == "assumed"
        first = f"e{int(truths.argmin()):03d}"
        covered += first in {p.entry.entry_id for p in ranking.may_be_best}
        within += all(
            truths[int(p.entry.entry_id[1:])] / truths.min() - 1 <= p.behind + 1e-12
            for p in ranking.may_be_best
        )
    assert covered / 200 >= 0.904
    assert within / 200 >= 0.904


def test_with_nothing_known_of_sampling_the_prior_stands_alone() -> None:
    near = rank([row(0, 1.0, score_se=None), row(1, 1.2, score_se=None)])
    assert len(near.may_be_best) == 2
    assert near.ranked[0].total_se == pytest.approx(PRIOR_SD)
    far = rank([row(0, 1.0, score_se=None), row(1, 1000.0, score_se=None)])
    assert len(far.may_be_best) == 1
    assert far.winner is None


def test_how_far_behind_at_most_and_the_chance_of_two_by_students_t() -> None:
    """Two of one seed: variance .2^2 each on 3 df, so 6 of Welch-Satterthwaite for the pair; at the
    level of a sweep's end. Of a share of 4000 draws: 3 sqrt(.25 / 4000)."""
    ranking = rank([row(0, 50.0, score_se=0.0), row(1, 60.0, score_se=0.0)])
    first, second = ranking.ranked
    error = np.sqrt(2) * PRIOR_SD
    for place, gap in ((first, -np.log(1.2)), (second, np.log(1.2))):
        reach = np.log1p(place.behind) - gap
        assert stats.t.sf(reach / error, 6) == pytest.approx(0.005, rel=1e-6)
    rng = np.random.default_rng(0)
    draws = np.log([50.0, 60.0]) + PRIOR_SD * rng.standard_t(3, size=(100_000, 2))
    assert first.chance == pytest.approx((draws[:, 0] < draws[:, 1]).mean(), abs=0.03)
    assert first.chance + second.chance == pytest.approx(1.0)


def test_behind_is_a_share_of_the_bests_score_whichever_way_is_better() -> None:
    """Reciprocals, where higher is better: a bound of b above is b / (1 + b) below."""
    up = {**row(0).protocol, "direction": "higher"}
    scores = [50.0, 60.0, 55.0]
    low = rank([row(k, s, score_se=0.0) for k, s in enumerate(scores)])
    high = rank([row(k, 1 / s, score_se=0.0, protocol=up) for k, s in enumerate(scores)])
    for place, other in zip(low.ranked, high.ranked, strict=True):
        assert place.entry.entry_id == other.entry.entry_id
        assert other.behind == pytest.approx(place.behind / (1 + place.behind))


def test_the_error_of_a_mean_falls_with_its_seeds() -> None:
    rng = np.random.default_rng(9)
    ranking = rank(sweep_rows(np.array([50.0, 60.0]), rng, seeds=4, rel_sd=0.2, rel_se=0.1))
    place = ranking.ranked[0]
    assert place.training_sd is not None
    assert place.total_se is not None
    assert place.entry.score_se == pytest.approx(0.1 * place.score / 2, rel=0.2)
    # of one training, what it shares with its seed in it; a quarter of that variance
    sampled = np.mean([(r.score_se / r.score) ** 2 for r in place.entry.rows])
    one = np.sqrt((place.training_sd / place.score) ** 2 + sampled)
    assert place.total_se == pytest.approx(one * place.score / 2, rel=1e-9)


def _confirmed(lead: float, seeds: int) -> list[Row]:
    rows = [row(k, score) for k, score in enumerate([lead, 90.0, 95.0])]
    return rows + [
        replace(
            rows[0], trial=10 + k, trial_id=f"c{k}", seed=100 + k, origin="confirm", score=40.0 + k
        )
        for k in range(seeds)
    ]


def test_a_winner_needs_three_new_seeds() -> None:
    assert rank(_confirmed(30.0, 0)).winner is None
    assert rank(_confirmed(30.0, 2)).winner is None
    winner = rank(_confirmed(30.0, 3)).winner
    assert winner is not None
    assert winner.entry.entry_id == "e000"


def test_the_run_that_was_picked_is_not_in_a_confirmed_score() -> None:
    assert rank(_confirmed(30.0, 3)).ranked[0].score == 41.0  # 40, 41, 42; not 30
    assert rank(_confirmed(30.0, 2)).ranked[0].score == pytest.approx((30 + 40 + 41) / 3)


def test_a_confirmed_leader_that_is_not_alone_is_no_winner() -> None:
    rows = [*_confirmed(30.0, 3), row(5, 41.5)]
    ranking = rank(rows)
    assert len(ranking.may_be_best) == 2
    assert ranking.winner is None


def test_the_best_of_many_noisy_values_is_called_optimistic() -> None:
    """64 equal entries with 20 % noise: the best reads low by about what is said."""
    rng = np.random.default_rng(8)
    claimed, real = [], []
    for _ in range(15):
        ranking = rank(sweep_rows(np.full(64, 50.0), rng, rel_sd=0.2, rel_se=0.0))
        assert ranking.optimism is not None
        claimed.append(ranking.optimism)
        real.append(50.0 - ranking.ranked[0].score)
    # the bootstrap takes the spread-out scores for truths: it says too little, never too much
    assert 0.2 * np.mean(real) < np.mean(claimed) < np.mean(real)
    assert rank(_confirmed(30.0, 3)).optimism is None


def test_a_leader_far_ahead_does_not_flatter() -> None:
    """Whatever is drawn again, it leads: the mean of its draws is its score."""
    rows = [row(k, score) for k, score in enumerate((1.0, 40.0, 50.0))]
    ranking = rank(rows)
    assert ranking.optimism == pytest.approx(0.0, abs=1e-12)
    assert "flatters by next to nothing" in "\n".join(build(rows).claims)


def test_higher_is_better_when_the_protocol_says_so() -> None:
    up = {**row(0).protocol, "direction": "higher"}
    rows = [row(k, 10.0**k, protocol=up) for k in range(3)]
    rows.append(row(3, 101.0, entry_id="e002", protocol=up))
    ranking = rank(rows)
    assert [place.entry.entry_id for place in ranking.ranked] == ["e002", "e001", "e000"]
    assert ranking.ranked[0].rank_high == 1


def test_scores_that_are_not_positive_are_compared_as_they_are() -> None:
    scores = [-0.5, 0.0, 40.0]
    rows = [
        row(10 * k + seed, s + 0.3 * seed, score_se=0.1, entry_id=f"e{k}", seed=10 * k + seed)
        for k, s in enumerate(scores)
        for seed in range(3)
    ]
    ranking = rank(rows)
    assert not ranking.spread.relative
    assert [place.tier for place in ranking.ranked] == ["A", "A", "B"]


def test_protocols_and_scales_are_never_ranked_together() -> None:
    rows = [row(0), row(1), row(2, protocol_digest="p1"), row(3, scale="gpu")]
    assert [len(ranking.ranked) for ranking in rankings(rows)] == [2, 1, 1]


def test_a_repeat_of_the_same_seed_is_no_replicate() -> None:
    first = row(0, 50.0)
    broken = replace(first, sweep="zebra", outcome="failed", score=None)
    remeasured = replace(first, protocol_digest="p1", score=60.0)
    rows, repeats = distinct([first, replace(first, sweep="other"), broken, remeasured])
    assert repeats == 2
    assert [(kept.protocol_digest, kept.score) for kept in rows] == [("p0", 50.0), ("p1", 60.0)]


def test_failures_are_listed_with_their_last_rung_and_not_ranked() -> None:
    rung = [{"fraction": 0.2, "nimg": 100, "value": 5.0}]
    rows = [
        row(0, 50.0),
        row(1, None, outcome="diverged"),
        row(2, None, outcome="pruned", rungs=rung),  # better at its rung than any final score
    ]
    ranking = rank(rows)
    assert len(ranking.ranked) == 1
    assert [entry.outcome for entry in ranking.unranked] == ["pruned", "diverged"]
    assert ranking.unranked[0].last_rung == rung[0]


def test_all_diverged_ranks_nothing() -> None:
    ranking = rank([row(k, None, outcome="diverged") for k in range(3)])
    assert ranking.ranked == ()
    assert ranking.winner is None
    assert ranking.optimism is None


def test_tiers_go_on_after_z() -> None:
    assert [tier_letters(k) for k in (0, 25, 26, 51, 52)] == ["A", "Z", "AA", "AZ", "BA"]
