"""A winner stands under a second extractor too, or the board says what it depends on."""

from __future__ import annotations

import json

import pytest

from leaderboards.board import Board, build
from leaderboards.facts import SweepFacts
from leaderboards.measures import Measure
from leaderboards.rows import Row
from leaderboards.text import to_json
from tests.unit.leaderboards.synthetic import PROTOCOL, row

SECOND = Measure(key="eval/fd_drawn", title="fd_drawn", direction="lower", witness=True)
FACTS = SweepFacts(sweep="calm-otter", measures=(SECOND,))


def trained(entry: int, score: float, second: float | None, *, again: bool = True) -> list[Row]:
    """An entry trained once and, `again`, on three new seeds, with its distances by both."""
    return [
        row(
            10 * entry + seed,
            score * (1 + 0.001 * seed),
            entry_id=f"e{entry}",
            label=f"entry-{entry}",
            seed=seed,
            origin="confirm" if seed else "tpe",
            values={} if second is None else {SECOND.key: second, SECOND.se_key: 0.002 * second},
            score_se=0.002 * score,
        )
        for seed in range(4 if again else 1)
    ]


def board_of(*entries: list[Row]) -> Board:
    return build([one for entry in entries for one in entry], [FACTS])


def verdict_of(board: Board) -> str:
    return next(line for line in board.claims if line.startswith("verdict: "))


def test_who_leads_under_both_wins() -> None:
    board = board_of(trained(0, 20.0, 5.0), trained(1, 60.0, 9.0))
    assert "winner entry-0" in verdict_of(board)
    assert "second judge: under fd_drawn entry-0 leads too" in board.claims


def test_two_leaders_are_no_winner() -> None:
    board = board_of(trained(0, 20.0, 9.0), trained(1, 60.0, 5.0))
    (ranking,) = board.rankings
    assert ranking.alone is not None
    assert ranking.winner is None
    assert verdict_of(board) == (
        "verdict: no winner: it depends on the extractor: entry-0 leads under fd_randconv, entry-1 "
        "under fd_drawn"
    )
    assert (
        "second judge: under fd_drawn entry-1 leads; entry-0, first under fd_randconv, is behind 1 "
        "there and cannot be the best"
    ) in board.claims
    told = json.loads(to_json(board))["verdicts"][0]
    assert told["winner"] is None
    assert told["second_judges"] == [{"measure": "eval/fd_drawn", "ahead": ["e1"], "stands": False}]


def test_one_ahead_that_was_not_confirmed_may_be_so_by_luck_and_it_is_said() -> None:
    lucky = trained(1, 60.0, 4.95, again=False)
    board = board_of(trained(0, 20.0, 5.0), lucky, trained(2, 70.0, 9.0))
    assert verdict_of(board).endswith(
        "entry-1 under fd_drawn; 1 of those ahead there have not been confirmed on new seeds"
    )


def test_what_was_not_measured_of_all_is_no_second_judge() -> None:
    board = board_of(trained(0, 20.0, 5.0), trained(1, 60.0, None))
    assert not board.rankings[0].second_judges
    assert "under one extractor alone nobody wins" in verdict_of(board)


def test_under_one_extractor_alone_nobody_wins() -> None:
    board = board_of(trained(0, 20.0, None), trained(1, 60.0, None))
    assert board.rankings[0].alone is not None
    assert board.rankings[0].winner is None
    assert "under one extractor alone nobody wins" in verdict_of(board)


def test_a_score_without_an_extractor_needs_no_second() -> None:
    plain = {key: value for key, value in PROTOCOL.items() if key != "extractor"}
    rows = [*trained(0, 20.0, None), *trained(1, 60.0, None)]
    board = build([Row.from_dict({**r.to_dict(), "protocol": plain}) for r in rows], [FACTS])
    assert "winner entry-0" in verdict_of(board)


def test_a_witness_has_a_direction() -> None:
    with pytest.raises(ValueError, match="witness needs a direction"):
        Measure(key="eval/x", title="x", witness=True)
