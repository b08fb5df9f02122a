"""Scores that should be high, and scores compared by difference: by symmetry, and on known truths.

A board on the difference scale knows no zero and no up: negate every score and flip the direction,
or add a constant, and every rank, spread, gap and claim about budgets must stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from leaderboards import other_budgets
from leaderboards.board import Board, build
from leaderboards.cells import cell_table
from leaderboards.claims import verdict
from leaderboards.entries import gather
from leaderboards.rank import rank
from leaderboards.rows import Row
from leaderboards.spread import seed_spread
from tests.unit.leaderboards.synthetic import row

PSNR = {"metric": "psnr", "direction": "higher", "scale": "difference", "unit": "dB"}


def cases(seed: int, *, replicated: bool) -> list[Row]:
    """A sweep around 0 dB: some negative, several seeds, some pruned, rungs on the way."""
    rng = np.random.default_rng(seed)
    rows: list[Row] = []
    for entry in range(9):
        truth, gflops = float(rng.normal(0, 3)), float(rng.uniform(0.5, 3))
        for k in range(int(rng.integers(1, 4)) if replicated else 1):
            score = truth + 0.4 * float(rng.normal())
            ends = [score - 2 * (1 - f) + 0.3 * float(rng.normal()) for f in (0.25, 0.5, 1.0)]
            done = rng.random() > 0.2
            rows.append(
                row(
                    len(rows),
                    score if done else None,
                    outcome="completed" if done else "pruned",
                    entry_id=f"e{entry}",
                    seed=k,
                    score_se=0.1 if done else None,
                    select=ends[-1] if done else None,
                    protocol=PSNR,
                    origin="confirm" if k else "tpe",
                    cell={"method": ("direct", "diffusion")[entry % 2]},
                    values={other_budgets.FORWARD_GFLOPS: gflops},
                    rungs=[
                        {
                            "fraction": f,
                            "nimg": int(1000 * f / gflops),
                            "train_sec": 10 * f * float(rng.uniform(0.8, 1.2)),
                            "value": value,
                            "se": 0.1,
                        }
                        for f, value in zip((0.25, 0.5, 1.0), ends, strict=True)
                    ],
                )
            )
    return rows


def changed(item: Row, sign: float, shift: float) -> Row:
    """The row with every score negated where sign is -1, and moved."""
    direction = "higher" if sign > 0 else "lower"

    def moved(value: float | None) -> float | None:
        return None if value is None else sign * value + shift

    return replace(
        item,
        protocol={**item.protocol, "direction": direction},
        score=moved(item.score),
        select=moved(item.select),
        rungs=[{**rung, "value": moved(rung["value"])} for rung in item.rungs],
    )


def outline(board: Board) -> list[Any]:
    """All that a board says but for the scores themselves."""
    content, (ranking,) = board.to_dict(), board.rankings
    table = cell_table(ranking, board.axes)
    entries = [
        [e[k] for k in ("entry_id", "rank_low", "rank_high", "tier", "may_be_best", "confirmed")]
        for e in content["entries"]
    ]
    verdicts = content["verdicts"][0]
    others = [
        [o[k] for k in ("kind", "n", "leader_id", "usual_id", "sure")]
        for o in verdicts["other_budgets"]
    ]
    return [
        entries,
        [(c.choices, c.compared, c.may_be_best) for c in table.cells] if table else [],
        *(verdicts["winner"], verdicts["may_be_best"], others),
        [line for line in board.claims if line.startswith("leaders:")],
    ]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("replicated", [True, False])
@pytest.mark.parametrize(("sign", "shift"), [(-1.0, 0.0), (1.0, 30.0), (-1.0, -30.0)])
def test_negated_or_moved_scores_rank_alike(
    seed: int, replicated: bool, sign: float, shift: float
) -> None:
    rows = cases(seed, replicated=replicated)
    board, mirrored = build(rows), build([changed(item, sign, shift) for item in rows])
    assert outline(board) == outline(mirrored)
    ours, theirs = board.rankings[0], mirrored.rankings[0]
    assert theirs.spread.sd == pytest.approx(ours.spread.sd)
    for place, other in zip(ours.ranked, theirs.ranked, strict=True):
        assert other.score == pytest.approx(sign * place.score + shift)
        assert other.training_sd == pytest.approx(place.training_sd)
        assert other.total_se == pytest.approx(place.total_se)
        assert other.chance == pytest.approx(place.chance)
        assert other.behind == pytest.approx(place.behind)
    # rel: sums of floats in another order; abs: a leader that never flatters gives exactly 0
    assert (ours.optimism is None) == (theirs.optimism is None)
    if ours.optimism is not None:
        assert theirs.optimism == pytest.approx(ours.optimism, rel=1e-9, abs=1e-12)
    table = cell_table(ours, board.axes)
    assert table is not None
    assert any(c.best is not None for c in table.cells)


def psnr(trial: int, score: float, **changes: Any) -> Row:
    return row(trial, score, score_se=0.1, protocol=PSNR, **changes)


def replicated(scores: Sequence[float]) -> list[Row]:
    """Each score from three seeds of its own, .3 dB apart, in a cell of its own."""
    return [
        psnr(
            10 * k + i,
            s + step,
            entry_id=f"e{k:03d}",
            seed=10 * k + i,
            cell={"method": f"m{k}"},
        )
        for k, s in enumerate(scores)
        for i, step in enumerate((0.0, 0.3, -0.3))
    ]


def test_decibels_rank_from_the_top_and_may_be_negative() -> None:
    ranking = rank(replicated((-9.0, 30.0, 0.0, 29.8, 20.0)))
    assert [p.entry.entry_id for p in ranking.ranked] == ["e001", "e003", "e004", "e002", "e000"]
    assert [(p.rank_low, p.rank_high, p.tier) for p in ranking.ranked] == [
        *((1, 2, "A"), (1, 2, "A")),
        *((3, 3, "B"), (4, 4, "C"), (5, 5, "D")),
    ]
    # the same whatever the score is: at 0 dB a relative spread would be none
    (spread,) = {p.training_sd for p in ranking.ranked}
    assert spread == pytest.approx(np.sqrt(0.3**2 - 0.1**2))  # without sampling
    assert ranking.ranked[0].total_se == pytest.approx(np.hypot(spread, 0.1) / np.sqrt(3))


def test_a_step_in_decibels_counts_alike_wherever_it_is() -> None:
    """With enough cells to need no stated prior, which would be 8 dB at 400."""

    def ranks(base: float) -> list[tuple[int | None, ...]]:
        ranking = rank(replicated([base, base + 1.5, base - 1.5, base + 9]))
        return [(p.rank_low, p.rank_high) for p in ranking.ranked]

    assert ranks(20.0) == ranks(400.0) == [(1, 1), (2, 2), (3, 3), (4, 4)]


def test_seeds_give_their_spread_in_decibels() -> None:
    """Against a slow sum: pooled variance of two entries less the sampling variance."""
    scores = {"a": (20.0, 21.0, 22.5), "b": (-1.0, 1.0)}
    rows = [
        row(10 * i + k, s, entry_id=name, seed=10 * i + k, score_se=0.2, protocol=PSNR)
        for i, (name, values) in enumerate(scores.items())
        for k, s in enumerate(values)
    ]
    squares = sum(float(np.var(v)) * len(v) for v in scores.values())
    spread = seed_spread(gather(rows))
    assert spread.df == 3
    assert spread.sd == pytest.approx((squares / 3 - 0.2**2) ** 0.5)
    assert not spread.relative


def test_an_assumed_spread_is_what_lies_between_entries_in_decibels() -> None:
    """The interquartile range over 1.349, or 2 % of the mean if that is more."""
    scores = (20.0, 22.0, 23.0, 30.0)
    ranking = rank([row(k, s, score_se=0.2, protocol=PSNR) for k, s in enumerate(scores)])
    between = float(np.subtract(*np.percentile(scores, [75, 25]))) / 1.349
    assert (ranking.spread.kind, ranking.spread.sd) == ("assumed", pytest.approx(between))
    claims = "\n".join(verdict(ranking))
    assert (
        "training spread: 2.4 dB (assumed: nothing was trained twice to the end); no ranks"
        in claims
    )
    close = rank([row(k, 30 + 0.01 * k, score_se=0.2, protocol=PSNR) for k in range(4)])
    assert close.spread.sd == pytest.approx(0.02 * 30.015)


def test_the_best_of_many_reads_too_high_where_higher_is_better() -> None:
    ranking = rank([psnr(k, 30.0 + 0.01 * k) for k in range(32)])
    # the largest of 32 standard normals is 2.07 on average (tables of order statistics)
    error = np.hypot(ranking.spread.sd, 0.1)
    assert ranking.optimism == pytest.approx(2.07 * error, rel=0.15)
    assert (
        "the leading score on report, 30.31, is the best of 32 noisy values and flatters by "
        in ("\n".join(verdict(ranking)))
    )
    assert " dB; only new seeds tell" in "\n".join(verdict(ranking))


def test_an_error_that_all_share_does_not_flatter_the_best() -> None:
    """The same, with cases that move all by 5 dB: what was picked is no luckier for it."""
    moves = 5 * np.random.default_rng(0).normal(size=20) / np.sqrt(19)
    rows = [
        psnr(k, 30.0 + 0.01 * k, left_out={"cases": list(30.0 + 0.01 * k + moves)})
        for k in range(32)
    ]
    ranking = rank(rows)
    # no sampling error beside that of the cases
    assert ranking.optimism == pytest.approx(2.07 * ranking.spread.sd, rel=0.15)
    assert ranking.ranked[0].total_se > 3 * ranking.spread.sd


def test_a_confirmed_winner_is_the_highest() -> None:
    rows = [psnr(0, 33.0), psnr(1, 24.0), psnr(2, 20.0)]
    new = [replace(rows[0], trial=10 + k, seed=100 + k, origin="confirm") for k in range(3)]
    new = [replace(item, trial_id=f"c{item.trial}", score=30.0 + k) for k, item in enumerate(new)]
    winner = rank([*rows, *new]).winner
    assert winner is not None
    assert (winner.entry.entry_id, winner.score) == ("e000", 31.0)


def test_a_cells_best_is_its_highest() -> None:
    board = build([psnr(0, 20.0), psnr(1, 30.0), psnr(2, 25.0)])
    table = cell_table(board.rankings[0], board.axes)
    assert table is not None
    (cell,) = table.cells
    assert (cell.best, cell.median) == (30.0, 25.0)


def test_pruned_trials_stand_by_their_last_rung_the_highest_first() -> None:
    rung = {"fraction": 0.2, "nimg": 100}
    values = {0: 20.0, 1: 25.0, 2: 22.0}
    rows = [
        row(k, None, outcome="pruned", protocol=PSNR, rungs=[{**rung, "value": v}])
        for k, v in values.items()
    ]
    rows.append(row(3, None, outcome="pruned", protocol=PSNR))  # no rung at all: last
    order = [entry.entry_id for entry in rank(rows).unranked]
    assert order == ["e001", "e002", "e000", "e003"]


def test_between_rungs_a_difference_is_read_linearly_in_the_logarithm() -> None:
    points = [(100.0, -2.0), (400.0, 6.0)]
    assert other_budgets._read(points, 200.0, ratio=False) == pytest.approx(2.0)
    assert other_budgets._read(points, 100.0, ratio=False) == -2.0
    assert other_budgets._read([(100.0, 20.0), (400.0, 40.0)], 200.0, ratio=False) == 30.0


def on_the_way(trial: int, points: list[tuple[int, float]], se: float = 0.0) -> Row:
    """A row whose rungs are (nimg, dB)."""
    rungs = [
        {"fraction": (k + 1) / len(points), "nimg": nimg, "value": value, "se": se}
        for k, (nimg, value) in enumerate(points)
    ]
    return row(trial, points[-1][1], score_se=0.1, protocol=PSNR, rungs=rungs)


# At 1000 images the first reads 30 dB (halfway from 20 to 40 in the logarithm; a power law would
# read 28.3), the second 29, or 39 dB.
FIRST = [(500, 20.0), (2000, 40.0)]


def test_the_leader_at_another_budget_is_the_highest_there() -> None:
    behind = other_budgets.at_equal(
        rank([on_the_way(0, FIRST), on_the_way(1, [(500, 10.0), (1000, 29.0)])]), "nimg"
    )
    ahead = other_budgets.at_equal(
        rank([on_the_way(0, FIRST), on_the_way(1, [(500, 10.0), (1000, 39.0)])]), "nimg"
    )
    assert behind is not None
    assert ahead is not None
    assert (behind.amount, behind.leader_id, behind.changes) == (1000, "e000", False)
    assert (ahead.leader_id, ahead.usual_id, ahead.sure) == ("e001", "e000", True)


@pytest.mark.parametrize(("se", "sure"), [(0.5, True), (4.0, False)])
def test_a_lead_at_another_budget_is_weighed_in_decibels(se: float, sure: bool) -> None:
    """9 dB against 1.96 sqrt(2) 4 = 11.1, or 1.96 sqrt(2) .80 = 2.2 with 2 % of 39.5 dB assumed
    between seeds; as shares of 30 both errors are below .2."""
    pair = [on_the_way(0, FIRST, se), on_the_way(1, [(500, 10.0), (1000, 39.0)], se)]
    other = other_budgets.at_equal(rank(pair), "nimg")
    assert other is not None
    assert other.changes
    assert other.sure == sure
