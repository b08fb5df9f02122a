"""Reference rows: shown without a rank in every form, and what they warn of."""

from __future__ import annotations

import csv
import io
import json

import pytest

from leaderboards.board import build
from leaderboards.facts import SweepFacts
from leaderboards.measures import Measure
from leaderboards.references import FLOOR, Reference, lines
from leaderboards.text import to_csv, to_json, to_markdown
from tests.unit.leaderboards.boards import draw
from tests.unit.leaderboards.synthetic import row

SCORE = Measure(key="eval/fd_randconv", title="fd_randconv", direction="lower")
REFERENCES = (
    Reference(
        key=FLOOR,
        title="real, other subjects",
        count=128,
        values={"eval/fd_randconv": 5.65, "eval/fd_randconv_se": 0.3, "eval/copied": 0.01},
        notes=("7 subjects, the report part has 9",),
    ),
    Reference(key="training copies", title="copies", count=128, values={"eval/fd_randconv": 6.5}),
)
FACTS = SweepFacts(sweep="calm-otter", references=REFERENCES)


def test_they_stand_in_every_form_without_a_rank() -> None:
    board = build([row(0, 40.0), row(1, 60.0)], [FACTS])
    content = json.loads(to_json(board))
    assert len(content["entries"]) == 2
    floor = content["references"][0]
    assert (floor["label"], floor["score"], floor["rank_low"]) == (
        "real, other subjects",
        5.65,
        None,
    )
    assert (floor["score_se"], floor["values"]) == (0.3, {"eval/copied": 0.01})
    table = list(csv.DictReader(io.StringIO(to_csv(board))))
    assert [line["entry_id"] for line in table][2:] == [
        f"reference: {FLOOR}",
        "reference: training copies",
    ]
    assert table[2]["eval/copied"] == "0.01"
    for shown in (to_markdown(board), draw(list(board.rows), 160, facts=[FACTS])):
        assert "real, other subjects" in shown
        assert "5.65 ± 0.30" in shown
    assert "reference real, other subjects: 7 subjects, the report part has 9" in board.claims
    assert (
        build([row(0)], [SweepFacts(sweep="other", references=REFERENCES)]).references(
            build([row(0)]).rankings[0]
        )
        == ()
    )


def test_facts_carry_them() -> None:
    assert SweepFacts.from_dict(json.loads(json.dumps(FACTS.to_dict()))) == FACTS
    with pytest.raises(ValueError, match="no reference"):
        Reference.from_dict({"name": "floor"})


@pytest.mark.parametrize(("leader", "near"), [(16.0, True), (17.0, False), (5.0, True)])
def test_a_leader_near_the_floor_is_warned_of(leader: float, near: bool) -> None:
    told = lines(REFERENCES, SCORE, [90.0, leader], {})
    assert any("floors" in line for line in told) is near
    higher = Measure(key="eval/fd_randconv", title="x", direction="higher")
    assert not any("floors" in line for line in lines(REFERENCES, higher, [leader], {}))


def test_fewer_samples_than_features_are_warned_of() -> None:
    few = {"n_samples": 16, "num_features": 64}
    assert any("16 samples for 64 features" in line for line in lines((), SCORE, [9.0], few))
    assert not lines((), SCORE, [9.0], {**few, "n_samples": 64})
