"""Rows: strict in, exact out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from leaderboards.rows import Row
from tests.unit.leaderboards.synthetic import row


def test_a_row_survives_json_to_the_last_bit() -> None:
    first = row(
        3,
        10.0 / 3,
        rungs=[{"fraction": 0.2, "nimg": 100, "value": 1 / 7}],
        values={"eval/x": 1 / 3},
        left_out={"cases": [10 / 7, 10 / 9]},
    )
    assert Row.from_dict(json.loads(json.dumps(first.to_dict()))) == first


def test_whole_numbers_become_floats_where_floats_are_due() -> None:
    back = Row.from_dict(row(1).to_dict() | {"values": {"cost/kimg": 12}, "score": 50})
    assert back.values == {"cost/kimg": 12.0}
    assert (type(back.values["cost/kimg"]), type(back.score)) == (float, float)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scroe": 1.0}, "unknown key 'scroe' .* did you mean 'score'"),
        ({"trial": "1"}, "trial .* must be int"),
        ({"trial": True}, "trial .* must be int"),
        ({"protected": 1}, "protected .* must be bool"),
        ({"score": "low"}, "score .* must be float or null"),
        ({"score": float("nan")}, "score is nan"),
        ({"score": None}, "completed without a score"),
        ({"score_se": -1.0}, "standard error is >= 0"),
        ({"outcome": "done"}, "outcome 'done' is none of completed, pruned"),
        ({"origin": "luck"}, "origin 'luck' is none of default"),
        ({"seed_spread": None}, "unknown key 'seed_spread'"),
        ({"left_out": {"cases": [1.0, float("nan")]}}, "left_out of cases must be finite numbers"),
        ({"left_out": {"cases": 1.0}}, "left_out of cases must be finite numbers"),
        ({"left_out": [1.0, 2.0]}, "left_out .* must be dict"),
        ({"protocol": {"direction": "up"}}, "direction 'up' is neither 'lower' nor 'higher'"),
        ({"protocol": {}}, "direction None is neither"),
        ({"protocol": {"direction": "lower", "scale": "log"}}, "scale 'log' is none of"),
        ({"values": {"eval/x": float("inf")}}, "eval/x is inf; it must be finite"),
        ({"values": {"eval/x": "low"}}, "eval/x is 'low'; it must be finite"),
        ({"values": {"eval/x": None}}, "eval/x is None; it must be finite"),
        ({"cell": {"architecture": 3}}, "architecture of its cell is 3"),
        ({"rungs": [{"fraction": 0.2}]}, "a rung needs a finite fraction and value"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Row.from_dict(row(1).to_dict() | change)


def test_a_missing_key_is_named() -> None:
    record = row(1).to_dict()
    del record["entry_id"], record["seed"]
    with pytest.raises(ValueError, match="lacks entry_id, seed"):
        Row.from_dict(record)


def test_a_row_shares_nothing_with_its_record() -> None:
    record = row(1).to_dict()
    back = Row.from_dict(record)
    record["params"]["lr"] = 99
    record["values"]["cost/kimg"] = 99.0
    record["left_out"]["cases"] = [1.0]
    assert back.params["lr"] != 99
    assert "cost/kimg" not in back.values
    assert back.left_out == {}
    back.to_dict()["protocol"].clear()
    assert back.protocol
