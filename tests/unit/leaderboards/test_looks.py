"""Looks at new seeds: what each may spend, which look a row was first seen at, what stays out."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from leaderboards.best import ALPHA
from leaderboards.looks import level, looks_of
from leaderboards.rank import rank
from leaderboards.rows import Row
from tests.measure import verdicts
from tests.unit.leaderboards.synthetic import row


def test_all_looks_there_will_ever_be_spend_five_percent() -> None:
    """Three small ones, the one at which a winner can be named, and a series that sums to .015."""
    assert [level(look) for look in range(6)] == pytest.approx(
        [0.005, 0.005, 0.005, 0.02, 0.0075, 0.0025]
    )
    many = math.fsum(level(look) for look in range(4000))
    assert many == pytest.approx(ALPHA, abs=0.015 / 3996 * 1.01)
    assert many < ALPHA


def confirming(trial: int, entry: int, score: float = 50.0, **changes: object) -> Row:
    return row(trial, score, entry_id=f"e{entry:03d}", origin="confirm", **changes)


def looks(rows: list[Row]) -> list[int]:
    return list(looks_of(rows).values())


def test_a_look_comes_with_each_new_seed_in_order_of_the_trials() -> None:
    first = [row(k) for k in range(3)]
    race = [confirming(3 + k, k % 3) for k in range(6)]
    assert looks(first) == [0, 0, 0]
    assert looks([*first, *race]) == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    # of one entry three seeds, then of the others what it has: never at a level that was spent
    fixed = [confirming(3 + k, 0) for k in range(3)]
    catching_up = [confirming(6, 1), confirming(7, 2), confirming(8, 1), confirming(9, 2)]
    assert looks([*first, *fixed, *catching_up]) == [0, 0, 0, 1, 2, 3, 4, 4, 5, 5]
    shuffled = looks_of([*race[::-1], *first])
    assert shuffled == looks_of([*first, *race])


def test_a_trial_on_its_way_is_not_seen_and_one_that_failed_is() -> None:
    first = [row(k) for k in range(2)]
    gone = replace(confirming(2, 0), outcome="failed", score=None, cause="died")
    open_one = replace(confirming(3, 1), outcome="interrupted", score=None)
    assert looks([*first, gone, open_one]) == [0, 0, 1, 0]
    ranking = rank([*first, gone, open_one])
    assert (ranking.look, ranking.under_way) == (1, 1)


def race_of(scores: dict[int, list[float]]) -> list[Row]:
    """Rows of entries by number: first score, then those on new seeds, seed by seed; as the second
    training of each, 1 % off, says what lies between seeds."""
    rows = [row(k, s[0], entry_id=f"e{k:03d}", seed=0, score_se=0.0) for k, s in scores.items()]
    rows += [
        row(10 + k, s[0] * (1.01 if k % 2 else 0.99), entry_id=f"e{k:03d}", seed=1, score_se=0.0)
        for k, s in scores.items()
    ]
    for place in range(1, max(map(len, scores.values()))):
        for k, s in scores.items():
            if place < len(s):
                rows.append(
                    confirming(20 + 10 * place + k, k, s[place], seed=100 + place, score_se=0.0)
                )
    return rows


def ids(rows: list[Row]) -> set[str]:
    return {place.entry.entry_id for place in rank(rows).may_be_best}


def test_what_a_look_left_out_stays_out() -> None:
    """e002 is out at the end of the sweep; new seeds alone would let it in again."""
    start = {0: [50.0], 1: [50.2], 2: [80.0]}
    assert ids(race_of(start)) == {"e000", "e001"}
    later = {0: [50.0, 50.0, 50.3, 49.9], 1: [50.2, 50.1, 50.1, 50.4], 2: [80.0, 50.0, 50.2, 50.1]}
    rows = race_of(later)
    assert rank(rows).look == 3
    assert ids(rows) == {"e000", "e001"}
    # the same rows, were they not new seeds but the sweep's own: one look at all of them
    once = [replace(r, origin="tpe") for r in rows if r.origin == "confirm"]
    assert ids(once) == {"e000", "e001", "e002"}


def test_no_winner_before_the_look_is_complete() -> None:
    rows = race_of({0: [30.0, 30.1, 30.0, 29.9], 1: [60.0]})
    assert rank(rows).winner is not None
    waiting = replace(confirming(90, 0), outcome="interrupted", score=None, seed=200)
    assert rank([*rows, waiting]).winner is None


def test_what_trains_nothing_has_one_look_for_all_of_it() -> None:
    free = {"size/params_m": 0.0}
    assert rank([row(k, values=free) for k in range(2)]).level == ALPHA
    assert rank([row(0, values=free), row(1)]).level == level(0)


def test_looking_after_every_seed_names_no_more_false_winners_than_is_spent() -> None:
    """120 races of four equal entries over five looks, as one of which would be the best: it is
    left out in at most 5 %, and 3 sqrt(.05 * .95 / 120) = .060."""
    rng = np.random.default_rng(4)
    lost = 0
    for _ in range(120):
        scores = {k: list(50 * np.exp(0.05 * rng.normal(size=6))) for k in range(4)}
        lost += "e000" not in ids(race_of(scores))
    assert lost / 120 <= 0.05 + 0.060


def test_the_simulated_race_says_what_the_board_of_its_rows_says() -> None:
    """tests.measure.verdicts keeps sets and bounds from look to look; a board reads them off the
    rows anew."""
    made = verdicts.sweep("alike", np.random.default_rng(5))
    told = verdicts.race(made, verdicts.FIRST_SEEDS, 3)
    ranking = rank(made.rows)
    assert ranking.look == 3
    assert len(ranking.may_be_best) == told.size
    assert (ranking.winner is not None) == told.winner
    behind = ranking.measure.in_order(ranking.may_be_best, lambda place: place.score)[0].behind
    assert behind == pytest.approx(math.expm1(told.leader_behind))
