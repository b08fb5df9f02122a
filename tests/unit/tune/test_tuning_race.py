"""Who goes on, on how many cases, and what is on the front: by hand and by slow loops."""

from __future__ import annotations

import random

import pytest

from bench.tune import tuning_race


def test_the_ladder_halves_its_evaluations() -> None:
    nfe = {0: 30, 1: 40, 2: 19, 3: 10, 4: 9, 5: 4}
    assert tuning_race.ladder([1, 0, 2, 4, 3, 5], nfe) == [1, 2, 4, 5]


def test_the_best_and_the_cheap_go_on_and_candidate_0_always() -> None:
    nfe = {0: 100, 1: 40, 2: 39, 3: 38, 4: 10, 5: 4}
    assert sorted(tuning_race.going_on([1, 2, 3, 4, 5, 0], nfe, 4)) == [0, 1, 2, 3, 4]
    assert tuning_race.going_on([0, 1, 2, 3, 4, 5], nfe, 1) == [0]


@pytest.mark.parametrize(("candidates", "rounds"), [(100, 5), (5, 1), (6, 1), (2, 1), (20, 2)])
def test_rounds_halve_down_to_the_finalists(candidates: int, rounds: int) -> None:
    assert tuning_race.rounds_of(candidates, tuning_race.FINALISTS) == rounds


def test_a_round_has_as_many_cases_as_its_seconds_pay_for() -> None:
    # 100 candidates of 10 evaluations, a millisecond each: a case of all costs one second
    assert tuning_race.cases_next(0, 128, 1000, 1e-3, 16.0) == 16
    assert tuning_race.cases_next(16, 128, 500, 1e-3, 16.0) == 48
    assert tuning_race.cases_next(16, 24, 500, 1e-3, 16.0) == 24
    assert (
        tuning_race.cases_next(0, 128, 1000, 1e-3, -3.0) == tuning_race.FEWEST
    )  # nothing is left: the least
    assert tuning_race.cases_next(16, 128, 1000, 1e-3, -3.0) == 17


def test_few_finalists_where_five_would_take_half_of_it() -> None:
    assert tuning_race.finalists_that_fit(128, 15, 1e-3, 100.0) == tuning_race.FINALISTS
    assert tuning_race.finalists_that_fit(128, 15, 1e-3, 30.0) == tuning_race.FEW_FINALISTS


def test_front_against_its_definition() -> None:
    """Without slack: nobody is at least as good everywhere and better somewhere."""
    draw = random.Random(0)
    points = {n: (draw.randint(0, 6), draw.randint(0, 6), draw.randint(0, 6)) for n in range(60)}
    slow = [
        n
        for n, own in points.items()
        if all(any(x > y for x, y in zip(o, own, strict=True)) or o == own for o in points.values())
    ]
    assert tuning_race.front(points, near=(0, 0, 0)) == slow


def test_speeds_that_are_nearly_the_same_do_not_save_anybody() -> None:
    points = {0: (5.0, 10.0, 1.0), 1: (6.0, 10.0, 0.95), 2: (6.0, 10.0, 0.5)}
    assert tuning_race.front(points, near=(0, 0, 0.1)) == [0, 2]
