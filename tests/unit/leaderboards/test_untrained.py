"""Entries that train nothing: no spread between seeds, and none of it for others."""

from __future__ import annotations

import math
from typing import Any

import pytest

from leaderboards.claims import verdict
from leaderboards.rank import rank
from leaderboards.rows import Row
from leaderboards.spread import ASSUMED_RATIO
from tests.unit.leaderboards.synthetic import PROTOCOL, row

DECIBELS = {**PROTOCOL, "metric": "psnr", "direction": "higher", "scale": "difference"}
SE = 0.1


def one(trial: int, score: float, *, train_sec: float, **changes: Any) -> Row:
    rungs = [
        {"fraction": f, "nimg": 100 * f, "value": score, "train_sec": train_sec * f}
        for f in (0.5, 1.0)
    ]
    body = {"protocol": DECIBELS, "rungs": rungs, "score_se": SE, **changes}
    return row(trial, score, **body)


def classical(trial: int, score: float, **changes: Any) -> Row:
    return one(trial, score, train_sec=0.0, **changes)


def trained(trial: int, score: float, **changes: Any) -> Row:
    return one(trial, score, train_sec=8.0, **changes)


def spread_line(rows: list[Row]) -> str:
    (line,) = [x for x in verdict(rank(rows)) if x.startswith("training spread")]
    return line


def test_they_have_none_and_others_keep_what_is_assumed() -> None:
    ranking = rank([classical(1, 30.0), classical(2, 29.0), trained(3, 28.0), trained(4, 27.5)])
    by_trial = {place.entry.first.trial: place for place in ranking.ranked}
    assert [by_trial[k].training_source for k in (1, 2)] == ["untrained"] * 2
    assert [by_trial[k].training_sd for k in (1, 2)] == [0.0, 0.0]
    assert by_trial[1].total_se == pytest.approx(SE)
    assert by_trial[3].training_source == "assumed"
    assert by_trial[3].training_sd == pytest.approx(ASSUMED_RATIO * SE)
    # 1 dB is 7 of sqrt(2) * .1; half a dB is 1.1 of sqrt(2) * .32
    assert (by_trial[1].rank_low, by_trial[1].rank_high) == (1, 1)
    assert by_trial[3].rank_high == 4


def test_a_repeated_one_lends_its_zero_to_nobody() -> None:
    """As `bench confirm` of a classical leader leaves it: the same score twice."""
    again = classical(5, 30.0, entry_id="e001", origin="confirm")
    ranking = rank([classical(1, 30.0), again, trained(3, 28.0), trained(4, 27.0)])
    assert ranking.spread.kind == "assumed"
    assert ranking.spread.sd == pytest.approx(ASSUMED_RATIO * SE)
    assert "borrow" not in spread_line([classical(1, 30.0), again, trained(3, 28.0)])


def test_replicates_of_networks_are_theirs() -> None:
    pair = [trained(3, 28.0), trained(5, 29.0, entry_id="e003")]
    rows = [classical(1, 30.0), classical(6, 30.0, entry_id="e001"), *pair, trained(4, 27.0)]
    ranking = rank(rows)
    # the sample variance of 28 and 29 is .5, and .01 of it is sampling
    assert ranking.spread.sd == pytest.approx(math.sqrt(0.5 - SE**2))
    assert ranking.spread.df == 1
    assert "1 entries with one seed borrow this spread" in spread_line(rows)


def test_where_nothing_is_trained_that_is_said_and_decibels_stay_decibels() -> None:
    rows = [classical(1, 30.0), classical(2, 29.0)]
    ranking = rank(rows)
    assert not ranking.spread.relative
    assert [place.rank_high for place in ranking.ranked] == [1, 2]
    assert spread_line(rows) == "training spread: none, since nothing here is trained"
