"""ASHA's stopping rule against a slow count of who is better."""

from __future__ import annotations

import copy
import dataclasses
import random
from fractions import Fraction

import pytest

from bench.sweep.deciding.prune import stops
from bench.sweep.record.history import History
from tests.unit.sweep.written import outcome, plan_record, report, suggest

KEEPS = [(1, 2), (1, 3), (1, 4), (3, 4)]


def oracle(values: list[float], mine: float, keep: Fraction) -> bool:
    """Whether fewer than a `keep` share (rounded up, one at least) of all seen are better."""
    better = 0
    for value in values:
        if value < mine:
            better += 1
    allowed = 1
    while allowed < keep * len(values):  # exact: a share of a count, rounded up
        allowed += 1
    return better >= allowed


@pytest.mark.parametrize("keep", KEEPS)
@pytest.mark.parametrize("seed", range(8))
def test_the_rule_on_random_sequences(keep: tuple[int, int], seed: int) -> None:
    draw, share = random.Random(seed), Fraction(*keep)
    history = History([plan_record(rungs=(0.25, 0.5, 1.0), keep=(float(share),) * 2)])
    plan = history.plan
    seen: dict[int, list[float]] = {0: [], 1: [], 2: []}
    ways = set()
    for number in range(60):
        protected = draw.random() < 0.2
        history.apply(suggest(number, protected=protected))
        for rung in range(3):
            value = float(draw.randint(0, 20)) if seed % 2 else draw.random()  # with ties
            history.apply(report(number, rung + 1, rung, value=value))
            seen[rung].append(value)
            expected = rung < 2 and not protected and oracle(seen[rung], value, share)
            before = copy.deepcopy(history)
            stop = stops(plan, history, history.trials[number], rung)
            assert stop is expected, (number, rung)
            assert history.trials == before.trials  # asking changes nothing
            assert stop is stops(plan, before, before.trials[number], rung)
            ways.add((rung, protected, stop))
            if stop:
                history.apply(outcome(number, "pruned"))
                break
    # Both answers were seen at both early rungs; never a stop of a protected one or at the last.
    assert {(0, False, True), (0, False, False), (1, False, True), (1, False, False)} <= ways
    assert {w for w in ways if w[2] and (w[0] == 2 or w[1])} == set()


def test_the_last_rung_and_protected_trials_are_never_stopped() -> None:
    history = History([plan_record(keep=(0.5,))])
    plan = history.plan
    for number, value in enumerate([1.0, 2.0, 3.0, 9.0]):
        history.apply(suggest(number, protected=number == 3))
        history.apply(report(number, 1, 0, value=value))
        history.apply(report(number, 2, 1, value=value))
    trials = history.trials
    assert stops(plan, history, trials[2], 0)
    assert not stops(plan, history, trials[3], 0)  # worse, but protected
    assert not stops(plan, history, trials[2], 1)
    assert not stops(dataclasses.replace(plan, prune=False), history, trials[2], 0)
    # The protected one's value counts: of three, one and a half round up to two places.
    assert not stops(plan, history, trials[1], 0)


def test_the_first_at_a_rung_goes_on() -> None:
    history = History([plan_record(keep=(0.25,)), suggest(0), report(0, 1, 0, value=1e9)])
    assert not stops(history.plan, history, history.trials[0], 0)
