"""An estimator without parameters beside networks: it has no training spread, and lends none."""

from __future__ import annotations

import math
from typing import Any

from leaderboards.agreement import agreements
from leaderboards.claims import verdict
from leaderboards.entries import gather
from leaderboards.other_budgets import others
from leaderboards.rank import rank
from leaderboards.rows import Row
from leaderboards.spread import CellSpread, seed_spread
from tests.unit.leaderboards.synthetic import row


def rungs(*values: float, first: int) -> list[dict[str, Any]]:
    shares = (0.25, 0.5, 1.0)
    return [
        {"fraction": share, "nimg": first * 2**k, "value": value, "train_sec": 0.0 + k}
        for k, (share, value) in enumerate(zip(shares, values, strict=True))
    ]


def still(trial: int, score: float, entry: str = "still", **more: Any) -> Row:
    """Of an estimator: the same at every rung."""
    size = {"size/params_m": 0.0, "size/gflops_per_img": 0.0}
    at = rungs(score, score, score, first=1)
    return row(trial, score, entry_id=entry, values=size, rungs=at, **more)


def trained(trial: int, score: float, early: float, entry: str = "") -> Row:
    size = {"size/params_m": 2.0, "size/gflops_per_img": 0.5}
    at = rungs(early, (early + score) / 2, score, first=100)
    return row(trial, score, entry_id=entry or f"e{trial}", values=size, rungs=at)


def test_its_replicates_say_nothing_of_networks() -> None:
    rows = [still(0, 20.0), still(1, 20.0), trained(2, 30.0, 50.0), trained(3, 40.0, 45.0)]
    spread = seed_spread(gather(rows))
    assert spread.kind == "assumed"  # not the 0 of two equal runs without a seed in them
    assert spread.sd > 0
    of = {entry.entry_id: spread.of(entry) for entry in gather(rows)}
    # drawing its samples again, 2 % of each score, is all its error
    assert of["still"] == CellSpread(variance=0.02**2, df=math.inf, replicated=True)
    network = CellSpread(variance=spread.sd**2 + 0.02**2, df=spread.df, replicated=False)
    assert of["e2"] == of["e3"] == network
    replicated = [*rows, trained(4, 36.0, 45.0, "e3")]
    measured = seed_spread(gather(replicated))
    assert (measured.kind, measured.source) == ("measured", "1 replicated entry here")
    assert measured.sd > 0


def test_its_rungs_are_its_end() -> None:
    """Trained trials that change their order at the end: estimators would blur it."""
    networks = [trained(k, 30.0 + k, 60.0 - 2 * k) for k in range(4)]
    alone = agreements(networks)
    assert [a.rho for a in alone] == [1.0, -1.0]  # with the next rung, then with the score
    assert agreements([*networks, *(still(k, 80.0 + k, f"s{k}") for k in range(9, 15))]) == alone


def test_it_spends_nothing_of_any_kind() -> None:
    networks = [trained(k, 30.0 + k, 60.0 - k) for k in range(4)]
    behind, ahead = still(9, 90.0), still(9, 10.0)
    assert [o.n for o in others(rank([*networks, behind]))] == [4, 4]
    assert [o.of for o in others(rank([*networks, behind]))] == [5, 5]
    assert others(rank([*networks, ahead])) == []  # it leads whatever is held equal


def test_it_leads_without_new_seeds() -> None:
    networks = [trained(k, 300.0 + k, 600.0) for k in range(4)]
    ranking = rank([*networks, still(9, 10.0)])
    assert ranking.winner is not None
    assert ranking.winner.entry.entry_id == "still"
    assert "which has nothing to train" in verdict(ranking)[0]
    assert ranking.optimism is None  # it was drawn anew on the report part, once


def test_of_estimators_alone_more_cases_are_asked_for_and_not_new_seeds() -> None:
    alike = [still(k, 20.0 + 0.1 * k, f"s{k}") for k in range(2)]
    line = verdict(rank(alike))[0]
    assert line.startswith("verdict: no winner: 2 of 2 entries may be best")
    assert "they differ by less than the cases can tell, and more cases are needed" in line
    assert "bench confirm" not in line
    with_a_network = verdict(rank([*alike, trained(5, 20.0, 21.0)]))[0]
    assert "3 of 3 entries may be best" in with_a_network
    assert "`bench confirm calm-otter` races them" in with_a_network


def test_two_of_them_are_told_apart_by_their_sampling_alone() -> None:
    """2 % each: 2 % apart is nothing, 20 % is seven standard errors; nothing has to be trained."""
    near, far = (rank([still(0, 50.0, "a"), still(1, s, "b")]) for s in (51.0, 60.0))
    assert near.spread.kind == far.spread.kind == "none"
    assert [(p.rank_low, p.rank_high) for p in near.ranked] == [(1, 2), (1, 2)]
    assert near.winner is None
    assert [(p.rank_low, p.rank_high) for p in far.ranked] == [(1, 1), (2, 2)]
    assert far.winner is not None


def test_it_lends_no_spread_to_networks_and_takes_none() -> None:
    """Its distance from a network has the network's training spread alone in it."""
    rows = [trained(k, s, 50.0, f"n{k % 2}") for k, s in enumerate((30.0, 40.0, 32.0, 38.0))]
    alone, beside = rank(rows), rank([*rows, still(9, 35.0)])
    spreads = {p.entry.entry_id: p.training_sd for p in beside.ranked}
    assert spreads.pop("still") is None
    assert spreads == {p.entry.entry_id: p.training_sd for p in alone.ranked}
