"""Who leads at another kind of equal budget: curves with known crossings."""

from __future__ import annotations

from typing import Any

import pytest

from leaderboards import budgets
from leaderboards.claims import verdict
from leaderboards.rank import rank
from leaderboards.rows import Row
from tests.unit.leaderboards.synthetic import row

SPREAD = {"rel_sd": 0.01, "source": "made up"}


def curve(number: int, points: list[tuple[int, float, float]], **changes: Any) -> Row:
    """A completed row whose rungs are (nimg, train seconds, value)."""
    rungs = [
        {"fraction": (i + 1) / len(points), "nimg": n, "train_sec": s, "value": v}
        for i, (n, s, v) in enumerate(points)
    ]
    return row(number, points[-1][2], rungs=rungs, seed_spread=SPREAD, **changes)


# By FLOPs the small one saw 4000 images and wins; at 1000 images, all that the large one saw,
# the power law between (500, 100) and (2000, 50) reads 70.7, and the large one has 60.
SMALL = curve(1, [(500, 1.0, 100.0), (2000, 4.0, 50.0), (4000, 8.0, 40.0)], gflops_per_img=1.0)
LARGE = curve(2, [(250, 2.0, 120.0), (500, 4.0, 90.0), (1000, 8.0, 60.0)], gflops_per_img=4.0)


def test_another_leader_at_equal_images() -> None:
    found = budgets.at_equal(rank([SMALL, LARGE]), "nimg")
    assert found is not None
    assert (found.amount, found.n) == (1000, 2)
    assert (found.leader, found.usual) == (LARGE.label, SMALL.label)
    assert found.changes
    assert found.sure  # 60 against 70.7 with 1 % between seeds and 2 % between samples


def test_the_same_leader_at_equal_seconds() -> None:
    found = budgets.at_equal(rank([SMALL, LARGE]), "gpu-seconds")
    assert found is not None
    assert (found.amount, found.changes) == (8.0, False)


def test_between_rungs_it_is_a_power_law_and_never_beyond() -> None:
    points = [(100.0, 80.0), (400.0, 20.0)]
    assert budgets._read(points, 200.0) == pytest.approx(40.0)
    assert budgets._read(points, 400.0) == 20.0
    late = curve(3, [(3000, 1.0, 9.0), (6000, 2.0, 1.0)])  # nothing is known of it at 1000
    found = budgets.at_equal(rank([SMALL, LARGE, late]), "nimg")
    assert found is not None
    assert found.n == 2
    assert found.leader == LARGE.label


def test_within_the_spread_is_said() -> None:
    close = curve(2, [(250, 2.0, 120.0), (500, 4.0, 90.0), (1000, 8.0, 70.0)], gflops_per_img=4.0)
    (line,) = [x for x in verdict(rank([SMALL, close])) if x.startswith("other budgets")]
    assert "at equal images (1 kimg, 2 entries)" in line
    assert f"{close.label} leads instead of {SMALL.label}, within their error" in line
    assert "at equal device-seconds of training (8 s, 2 entries) the same entry leads" in line


def test_the_kind_of_the_sweep_itself_is_not_told() -> None:
    protocol = {**SMALL.protocol, "equal": "nimg", "budget": 1.0}
    rows = [Row.from_dict({**r.to_dict(), "protocol": protocol}) for r in (SMALL, LARGE)]
    assert [o.kind for o in budgets.others(rank(rows))] == ["gpu-seconds", "flops"]


def test_nothing_is_said_without_curves() -> None:
    assert budgets.line(budgets.others(rank([row(1), row(2, 40.0)]))) is None
    old = curve(1, [(500, 1.0, 9.0), (900, 2.0, 8.0)])
    for rung in old.rungs:
        del rung["train_sec"]  # journals from before seconds were kept
    assert budgets.at_equal(rank([old, LARGE]), "gpu-seconds") is None
