"""Who leads at another kind of equal budget: curves with known crossings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from leaderboards import other_budgets
from leaderboards.claims import verdict
from leaderboards.rank import rank
from leaderboards.rows import Row
from tests.unit.leaderboards.synthetic import row

GFLOPS = other_budgets.FORWARD_GFLOPS


def curve(number: int, points: list[tuple[int, float, float]], **changes: Any) -> Row:
    """A completed row whose rungs are (nimg, train seconds, value)."""
    rungs = [
        {"fraction": (i + 1) / len(points), "nimg": n, "train_sec": s, "value": v}
        for i, (n, s, v) in enumerate(points)
    ]
    return row(number, points[-1][2], rungs=rungs, **changes)


# By FLOPs the small one saw 4000 images and wins; at 1000 images, all that the large one saw,
# the power law between (500, 100) and (2000, 50) reads 70.7, and the large one has 60.
SMALL = curve(1, [(500, 1.0, 100.0), (2000, 4.0, 50.0), (4000, 8.0, 40.0)], values={GFLOPS: 1.0})
LARGE = curve(2, [(250, 2.0, 120.0), (500, 4.0, 90.0), (1000, 8.0, 60.0)], values={GFLOPS: 4.0})


def seeds(first: Row) -> list[Row]:
    """Four seeds of it, half a percent apart."""
    return [
        replace(
            first, trial=first.trial + 10 * k, seed=100 * first.trial + k, score=first.score * c
        )
        for k, c in enumerate((1.0, 1.005, 0.995, 1.0))
        if first.score is not None
    ]


def test_another_leader_at_equal_images() -> None:
    other = other_budgets.at_equal(rank([*seeds(SMALL), *seeds(LARGE)]), "nimg")
    assert other is not None
    assert (other.amount, other.n) == (1000, 2)
    assert (other.leader, other.usual) == (LARGE.label, SMALL.label)
    assert other.changes
    # 60 against 70.7: .16 in logarithms. Four seeds each, .5 % apart and drawn to the stated 20 %:
    # variance (3 * 3 / 9 * .2^2) / 9 = .067^2, of the difference of two means of four .047^2
    assert other.sure
    once = other_budgets.at_equal(rank([SMALL, LARGE]), "nimg")
    assert once is not None
    assert not once.sure  # 20 % is assumed of each


def test_the_same_leader_at_equal_seconds() -> None:
    other = other_budgets.at_equal(rank([SMALL, LARGE]), "gpu-seconds")
    assert other is not None
    assert (other.amount, other.changes) == (8.0, False)


def test_between_rungs_it_is_a_power_law_and_never_beyond() -> None:
    points = [(100.0, 80.0), (400.0, 20.0)]
    assert other_budgets._read(points, 200.0, True) == pytest.approx(40.0)
    assert other_budgets._read(points, 400.0, True) == 20.0
    late = curve(3, [(3000, 1.0, 95.0), (6000, 2.0, 90.0)])
    other = other_budgets.at_equal(rank([SMALL, LARGE, late]), "nimg")
    assert other is not None
    # the large one says nothing of 4000 images, nor the late one of 1000
    assert (other.amount, other.n, other.of) == (4000, 2, 3)
    assert other.leader == SMALL.label


def test_within_the_spread_is_said() -> None:
    close = curve(2, [(250, 2.0, 120.0), (500, 4.0, 90.0), (1000, 8.0, 70.0)], values={GFLOPS: 4.0})
    (line,) = [x for x in verdict(rank([SMALL, close])) if x.startswith("other budgets")]
    assert "at equal images (1 kimg, 2 of 2 entries)" in line
    within = "within the error of one unpaired comparison (95 %)"
    assert f"{close.label} leads instead of {SMALL.label}, {within}" in line
    assert (
        "at equal device-seconds of training (8 s, 2 of 2 entries) the same entry leads, "
        f"{SMALL.label}" in line
    )
    assert line.endswith(
        "(first by value alone, interpolated between rungs on select; 1 seed an entry)"
    )


def test_the_leader_is_always_compared() -> None:
    """A wide network ends at 400 images, before the leader's first rung: it is left out, not the
    leader."""
    wide = curve(3, [(100, 2.0, 200.0), (200, 4.0, 150.0), (400, 8.0, 99.0)], values={GFLOPS: 10.0})
    other = other_budgets.at_equal(rank([SMALL, LARGE, wide]), "nimg")
    assert other is not None
    assert (other.usual, other.amount, other.n, other.of) == (SMALL.label, 1000, 2, 3)


def test_the_amount_is_where_most_can_be_read_then_the_largest() -> None:
    base = [(500, 1.0, 100.0), (2000, 4.0, 50.0), (4000, 8.0, 40.0)]
    entries = [SMALL, *(curve(n, [(x, t, y + n) for x, t, y in base]) for n in (3, 4))]
    other = other_budgets.at_equal(rank(entries), "nimg")
    assert other is not None
    assert other.amount == 4000
    other = other_budgets.at_equal(rank([*entries, LARGE]), "nimg")
    assert other is not None
    assert (other.amount, other.n) == (1000, 4)


def test_several_seeds_are_one_curve_with_less_error() -> None:
    """Three seeds of the large one, with values at 66 in the mean: 6 % ahead of 70.7."""

    def large(seeds: int) -> list[Row]:
        ends = [66.0, 64.0, 68.0][:seeds]
        return [
            curve(
                10 + k,
                [(250, 2.0, 120.0), (500, 4.0, 90.0), (1000, 8.0, end)],
                entry_id="large",
                values={GFLOPS: 4.0},
            )
            for k, end in enumerate(ends)
        ]

    ranking = rank([SMALL, *large(3)])
    place = next(p for p in ranking.ranked if p.entry.entry_id == "large")
    assert other_budgets._curve(place, "nimg")[-1] == pytest.approx((1000, 66.0))
    one = next(p for p in rank([SMALL, *large(1)]).ranked if p.entry.entry_id == "large")
    assert other_budgets._sd(ranking, place) < other_budgets._sd(rank([SMALL, *large(1)]), one)


def test_the_error_on_select_is_that_of_its_own_samples() -> None:
    noisy = curve(2, [(250, 2.0, 120.0), (500, 4.0, 90.0), (1000, 8.0, 60.0)], values={GFLOPS: 4.0})
    for rung in noisy.rungs:
        rung["se"] = 0.2 * rung["value"]
    other = other_budgets.at_equal(rank([SMALL, noisy]), "nimg")
    assert other is not None
    assert other.changes
    assert not other.sure  # 60 against 70.7, but a fifth of 60 is drawing samples


def test_the_kind_of_the_sweep_itself_is_not_told() -> None:
    protocol = {**SMALL.protocol, "equal": "nimg", "budget": 1.0}
    rows = [Row.from_dict({**r.to_dict(), "protocol": protocol}) for r in (SMALL, LARGE)]
    assert [o.kind for o in other_budgets.others(rank(rows))] == ["gpu-seconds", "flops"]


def test_nothing_is_said_without_curves() -> None:
    assert other_budgets.line(other_budgets.others(rank([row(1), row(2, 40.0)]))) is None
    old = curve(1, [(500, 1.0, 9.0), (900, 2.0, 8.0)])
    for rung in old.rungs:
        del rung["train_sec"]  # journals from before seconds were kept
    assert other_budgets.at_equal(rank([old, LARGE]), "gpu-seconds") is None
