"""Rows: strict in, exact out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from leaderboards.rows import Row
from tests.unit.leaderboards.synthetic import row


def test_a_row_survives_json_to_the_last_bit() -> None:
    first = row(3, 10.0 / 3, rungs=[{"fraction": 0.2, "nimg": 100, "value": 1 / 7}], nfe=35)
    assert Row.from_dict(json.loads(json.dumps(first.to_dict()))) == first


def test_whole_numbers_become_floats_where_floats_are_due() -> None:
    record = row(1).to_dict() | {"kimg": 12, "score": 50}
    found = Row.from_dict(record)
    assert (found.kimg, type(found.kimg), type(found.score)) == (12.0, float, float)


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
        ({"seed_spread": {"source": "x"}}, "seed_spread needs rel_sd"),
        ({"protocol": {"direction": "up"}}, "direction 'up'"),
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
    found = Row.from_dict(record)
    record["params"]["lr"] = 99
    assert found.params["lr"] != 99
    found.to_dict()["protocol"].clear()
    assert found.protocol
