"""Ranking against known truths: coverage by simulation, and the cases a sweep really has."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from leaderboards.board import build
from leaderboards.entries import distinct, gather
from leaderboards.rank import (
    Estimates,
    estimate,
    rank,
    rankings,
    significantly_better,
    tier_letters,
)
from leaderboards.rows import Row
from leaderboards.spread import seed_spread
from tests.unit.leaderboards.synthetic import row, sweep_rows

SPREAD = {"rel_sd": 0.2, "source": "8 seeds", "df": 1e6}  # as good as exact


@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize("normal", [False, True])
@pytest.mark.parametrize("ties", [False, True])
def test_the_truth_is_covered(seeds: int, normal: bool, ties: bool) -> None:
    """200 sweeps each: the true best may be best, and all true ranks lie in their intervals.

    Nominal 95 % for all pairs of a sweep at once; 0.95 - 3 sqrt(0.95 * 0.05 / 200) = 0.904.
    """
    rng = np.random.default_rng(11)
    best = ranks = 0
    for _ in range(200):
        truths = np.exp(rng.normal(4, 0.6, 12))
        if ties:
            truths[1:5] = truths.min()  # five share the first place
        spread = SPREAD if seeds == 1 else None
        ranking = rank(
            sweep_rows(truths, rng, seeds=seeds, rel_sd=0.2, spread=spread, normal=normal)
        )
        first = {f"e{k:03d}" for k in np.flatnonzero(truths == truths.min())}
        best += first <= {place.entry.entry_id for place in ranking.may_be_best}
        inside = []
        for place in ranking.ranked:
            truth = truths[int(place.entry.entry_id[1:])]
            low, high = 1 + (truths < truth).sum(), (truths <= truth).sum()
            inside.append(place.rank_low <= low and high <= place.rank_high)
        ranks += all(inside)
    assert best / 200 >= 0.904
    assert ranks / 200 >= 0.904


def test_intervals_tighten_with_the_evidence() -> None:
    """Not only covered: with little noise the true order is ranking."""
    truths = np.array([10.0, 20.0, 40.0, 80.0])
    rng = np.random.default_rng(0)
    ranking = rank(sweep_rows(truths, rng, rel_sd=0.01, spread={"rel_sd": 0.01, "source": "s"}))
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
    better = significantly_better(
        Estimates(x=x, training=np.zeros(n), sampling=se, unit=np.ones(n), df=df)
    )
    pairs = [(i, j) for i in range(n) for j in range(i + 1, n)]
    p = [
        2 * stats.t.sf(abs(x[i] - x[j]) / np.sqrt(se[i] ** 2 + se[j] ** 2), min(df[i], df[j]))
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
    ranking = rank(sweep_rows(truths, rng, rel_sd=0.05, spread={"rel_sd": 0.05, "source": "s"}))
    assert [place.tier for place in ranking.ranked] == ["A", "A", "A", "B", "B"]
    assert {(p.rank_low, p.rank_high) for p in ranking.ranked[:3]} == {(1, 3)}
    assert ranking.winner is None


def test_one_seed_borrows_the_workloads_spread_and_says_so() -> None:
    ranking = rank([row(k, 50.0 + k, seed_spread=SPREAD) for k in range(4)])
    assert ranking.spread.kind == "borrowed"
    assert ranking.spread.source == "8 seeds"
    assert {place.training_source for place in ranking.ranked} == {"borrowed"}
    assert ranking.ranked[0].training_sd == pytest.approx(0.2 * 50)
    assert ranking.ranked[0].total_se == pytest.approx(np.hypot(10, 1))
    assert len(ranking.may_be_best) == 4


def test_without_any_measured_spread_three_sampling_errors_are_assumed() -> None:
    rows = [row(0, 50.0, score_se=1.0), row(1, 55.0, score_se=0.0), row(2, 99.0, score_se=1.98)]
    ranking = rank(rows)
    rel_sd = 3 * np.sqrt((0.02**2 + 0.0 + 0.02**2) / 3)
    assert (ranking.spread.kind, ranking.spread.df) == ("assumed", 10)
    assert ranking.spread.sd == pytest.approx(rel_sd, rel=1e-12)
    assert {place.training_source for place in ranking.ranked} == {"assumed"}
    assert ranking.ranked[0].training_sd == pytest.approx(rel_sd * 50, rel=1e-12)
    # 10 % apart: 3.4 sampling errors, but 0.9 of what another seed would do
    assert [(p.rank_low, p.rank_high) for p in ranking.ranked] == [(1, 2), (1, 2), (3, 3)]
    assert ranking.winner is None


def test_the_truth_is_covered_where_the_spread_is_assumed() -> None:
    """200 sweeps whose training spread is what is assumed; bound as in the test above."""
    rng = np.random.default_rng(12)
    covered = 0
    for _ in range(200):
        truths = np.exp(rng.normal(4, 0.6, 12))
        ranking = rank(sweep_rows(truths, rng, rel_sd=0.15, rel_se=0.05))
        assert ranking.spread.kind == "assumed"
        order = np.argsort(np.argsort(truths)) + 1
        covered += all(
            p.rank_low <= order[int(p.entry.entry_id[1:])] <= p.rank_high for p in ranking.ranked
        )
    assert covered / 200 >= 0.904


def test_with_nothing_known_nothing_is_told_apart() -> None:
    ranking = rank([row(0, 1.0, score_se=None), row(1, 1000.0, score_se=None)])
    assert [(p.rank_low, p.rank_high) for p in ranking.ranked] == [(1, 2), (1, 2)]
    assert ranking.ranked[0].total_se is None


def test_replicates_give_their_own_spread_without_the_sampling_error() -> None:
    rng = np.random.default_rng(4)
    rows = sweep_rows(np.full(60, 50.0), rng, seeds=4, rel_sd=0.2, rel_se=0.2)
    spread_here = seed_spread(gather(rows))
    # total variance 0.08 from 180 degrees of freedom: sd 0.0084, so 0.04 +- 0.0084 is training;
    # two of those are 20 % of its root. Left in, sampling would make it 0.28.
    assert spread_here.sd == pytest.approx(0.2, rel=0.2)
    assert spread_here.df == 180
    assert spread_here.kind == "measured"


def test_the_error_of_a_mean_falls_with_its_seeds() -> None:
    rng = np.random.default_rng(9)
    ranking = rank(sweep_rows(np.array([50.0, 60.0]), rng, seeds=4, rel_sd=0.2, rel_se=0.1))
    place = ranking.ranked[0]
    assert place.training_sd is not None
    assert place.total_se is not None
    assert place.entry.score_se == pytest.approx(0.1 * place.score / 2, rel=0.2)
    assert place.total_se == pytest.approx(
        np.hypot(place.training_sd / 2, place.entry.score_se), rel=1e-12
    )
    known = estimate([place.entry], ranking.spread)
    assert known.training[0] == pytest.approx(ranking.spread.sd / 2, rel=1e-12)


def test_few_replicates_are_weighed_with_the_workloads_measure() -> None:
    spread = {"rel_sd": 0.2, "source": "8 seeds", "df": 7}
    pair = [
        row(0, 45.0, entry_id="a", seed=0, score_se=0.0, seed_spread=spread),
        row(1, 55.0, entry_id="a", seed=1, score_se=0.0, seed_spread=spread),
    ]
    spread_here = seed_spread(gather(pair))
    relative = 2 * 5.0**2 / 50.0**2  # sample variance of 45, 55 over the squared mean
    assert spread_here.sd == pytest.approx(np.sqrt((relative + 7 * 0.04) / 8))
    assert spread_here.df == 8


def test_an_entry_that_varies_far_more_keeps_its_own_spread() -> None:
    rng = np.random.default_rng(6)
    rows = sweep_rows(np.full(20, 50.0), rng, seeds=3, rel_sd=0.02, rel_se=0.001)
    wild = [
        row(900 + k, s, entry_id="wild", seed=k, score_se=0.1) for k, s in enumerate([20, 50, 90])
    ]
    spread_here = seed_spread(gather([*rows, *wild]))
    assert list(spread_here.outliers) == ["wild"]
    assert spread_here.outliers["wild"][0] > 0.5
    assert spread_here.outliers["wild"][1] == 2


def _confirmed(lead: float, seeds: int) -> list[Row]:
    spread = {"rel_sd": 0.02, "source": "s"}
    rows = [row(k, score, seed_spread=spread) for k, score in enumerate([lead, 90.0, 95.0])]
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
    rows = [*_confirmed(30.0, 3), row(5, 41.5, seed_spread={"rel_sd": 0.02, "source": "s"})]
    ranking = rank(rows)
    assert len(ranking.may_be_best) == 2
    assert ranking.winner is None


def test_the_best_of_many_noisy_values_is_called_optimistic() -> None:
    """64 equal entries with 20 % noise: the best reads low by about what is said."""
    rng = np.random.default_rng(8)
    claimed, real = [], []
    for _ in range(30):
        ranking = rank(sweep_rows(np.full(64, 50.0), rng, rel_sd=0.2, rel_se=0.0, spread=SPREAD))
        assert ranking.optimism is not None
        claimed.append(ranking.optimism)
        real.append(50.0 - ranking.ranked[0].score)
    # the bootstrap takes the spread-out scores for truths: it says too little, never too much
    assert 0.2 * np.mean(real) < np.mean(claimed) < np.mean(real)
    assert rank(_confirmed(30.0, 3)).optimism is None


def test_a_leader_far_ahead_does_not_flatter() -> None:
    """Whatever is drawn again, it leads: the mean of its draws is its score."""
    spread = {"rel_sd": 0.1, "source": "s"}
    rows = [row(k, score, seed_spread=spread) for k, score in enumerate((1.0, 40.0, 50.0))]
    ranking = rank(rows)
    assert ranking.optimism == pytest.approx(0.0, abs=1e-12)
    assert "flatters by next to nothing" in "\n".join(build(rows).claims)


def test_higher_is_better_when_the_protocol_says_so() -> None:
    up = {**row(0).protocol, "direction": "higher"}
    ranking = rank([row(k, 10.0 * (k + 1), protocol=up) for k in range(3)])
    assert [place.entry.entry_id for place in ranking.ranked] == ["e002", "e001", "e000"]
    assert ranking.ranked[0].rank_high == 1


def test_scores_that_are_not_positive_are_compared_as_they_are() -> None:
    spread = {"rel_sd": 0.05, "source": "s"}
    scores = [-0.5, 0.0, 40.0]
    ranking = rank([row(k, s, score_se=0.5, seed_spread=spread) for k, s in enumerate(scores)])
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
