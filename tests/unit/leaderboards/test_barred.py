"""An entry that copies cannot win, is shown, and hides no honest one."""

from __future__ import annotations

import json

import pytest

from leaderboards.barred import failures
from leaderboards.board import build
from leaderboards.facts import SweepFacts
from leaderboards.measures import Measure
from leaderboards.rows import Row
from leaderboards.text import to_csv, to_json, to_markdown
from tests.unit.leaderboards.boards import draw
from tests.unit.leaderboards.synthetic import row

P = Measure(
    key="eval/copied_p",
    title="copied p",
    level=0.01,
    failure="copies its training pictures",
    failure_share="copied",
)
SECOND = Measure(key="eval/fd_drawn", title="fd_drawn", direction="lower", witness=True)
FACTS = SweepFacts(sweep="calm-otter", measures=(P, SECOND))
HONEST, CHEAT = {"eval/copied_p": 0.3, "eval/copied": 0.01}, {"eval/copied_p": 1e-9}
CHEAT = {**CHEAT, "eval/copied": 0.4}


def confirmed(entry: int, score: float, values: dict[str, float]) -> list[Row]:
    """An entry trained once, and on three new seeds."""
    return [
        row(
            10 * entry + seed,
            score * (1 + 0.001 * seed),
            entry_id=f"e{entry}",
            label=f"entry-{entry}",
            seed=seed,
            origin="confirm" if seed else "tpe",
            values={"eval/fd_drawn": 2 * score, "eval/fd_drawn_se": 0.004 * score, **values},
            score_se=0.002 * score,
        )
        for seed in range(4)
    ]


def test_an_honest_entry_behind_a_copier_is_the_winner() -> None:
    rows = [*confirmed(0, 5.0, CHEAT), *confirmed(1, 20.0, HONEST), *confirmed(2, 60.0, HONEST)]
    (ranking,) = build(rows, [FACTS]).rankings
    assert ranking.winner is not None
    assert ranking.winner.entry.entry_id == "e1"
    assert [one.entry.entry_id for one in ranking.barred] == ["e0"]
    assert [place.entry.entry_id for place in ranking.ranked] == ["e1", "e2"]
    without = build(rows, [SweepFacts(sweep="calm-otter")]).rankings[0]
    assert without.winner is not None
    assert without.winner.entry.entry_id == "e0"  # where no measure states a level


def test_it_is_shown_everywhere_with_its_score_and_why() -> None:
    rows = [*confirmed(0, 5.0, CHEAT), *confirmed(1, 20.0, HONEST), *confirmed(2, 60.0, HONEST)]
    board = build(rows, [FACTS])
    why = "copies its training pictures (40% of samples, p = 4e-09, barred below 0.0033)"
    (line,) = (line for line in board.claims if line.startswith("barred: "))
    assert line == f"barred: entry-0 {why}; it cannot be the winner"
    assert any("winner entry-1, best of 2" in line for line in board.claims)
    first, second, *_ = json.loads(to_json(board))["entries"]
    assert (first["label"], first["barred"]) == ("entry-1", None)
    last = next(e for e in json.loads(to_json(board))["entries"] if e["barred"])
    assert (last["label"], last["barred"], last["rank_low"]) == ("entry-0", why, None)
    assert last["score"] == pytest.approx(5.01)
    assert second["barred"] is None
    assert why in to_csv(board)
    assert "### Barred" in to_markdown(board)
    shown = draw(rows, 160, facts=[FACTS])
    assert "barred: not compared" in shown
    assert "5.01" in shown


def test_the_level_is_shared_by_the_entries_and_seeds_are_paid_for() -> None:
    p = {"eval/copied_p": 0.004}
    assert set(failures({"a": [p]}, [P])) == {"a"}
    assert not failures({"a": [p], "b": [], "c": []}, [P])
    assert not failures({"a": [p, {"eval/copied_p": 1.0}, {"eval/copied_p": 1.0}]}, [P])
    assert not failures({"a": [{}]}, [P])


def test_where_all_copy_there_is_no_winner() -> None:
    board = build([*confirmed(0, 5.0, CHEAT), *confirmed(1, 9.0, CHEAT)], [FACTS])
    assert board.rankings[0].winner is None
    assert "verdict: no winner: every entry that completed is barred" in board.claims
    one = build([*confirmed(0, 5.0, CHEAT), *confirmed(1, 9.0, HONEST)], [FACTS])
    assert "verdict: one entry completed; all others are barred" in one.claims
    assert draw(list(board.rows), 120, facts=[FACTS])


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_a_level_is_a_probability_and_has_a_text(level: float) -> None:
    with pytest.raises(ValueError, match="level"):
        Measure(key="p", title="p", level=level, failure="fails")
    with pytest.raises(ValueError, match="level"):
        Measure(key="p", title="p", level=0.01)
