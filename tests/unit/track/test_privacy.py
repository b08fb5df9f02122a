"""What MLflow gets of a sweep whose every text names a place, from the journal on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench.sweep.record.board_rows import rows
from bench.sweep.record.history import History
from bench.sweep.record.publishing import replay
from bench.track import read
from bench.track.mlflow_projection import Projector
from bench.track.store import Store
from leaderboards.board import build
from leaderboards.facts import facts_of
from leaderboards.measures import Measure
from leaderboards.text import to_json
from tests.unit.leaderboards.synthetic import PROTOCOL
from tests.unit.sweep import fakes
from tests.unit.track.dump import dump

HOME = "/home/somebody"
NET = f"{HOME}/nets/my_net.py:build"


def journal() -> list[dict[str, Any]]:
    """One trial with a note that completed, one with a cause that failed."""
    asked = fakes.plan(
        sweep="echo-1",
        trials=2,
        space=f"{HOME}/my_space.py:wide",
        backbones=(NET,),
        rungs=(1.0,),
        keep=(),
        score=Measure(key="fd_randconv", title="fd_randconv", direction="lower"),
        protocol={**PROTOCOL, "unit": ""},
        protocol_digest="p0",
        forecast={"peak_gb_of": {NET: 1.0}, "paces": {NET: {"train": 0.5}}},
        data={
            "name": "echo",
            "digest": "d0",
            "simulated": False,
            "group_by": "somebody_([0-9]+)",
            "notes": [f"skipped 2 of {HOME}/echo"],
        },
        device={"text": f"CPU, mounted at {HOME}/cpu", "cores": 2},
    )
    plan: dict[str, Any] = {"kind": "plan", "t": 1_790_000_000.0, **asked.body()}
    records: list[dict[str, Any]] = [plan]
    for number in range(2):
        suggestion = {
            "kind": "suggest",
            "trial_id": f"t{number}",
            "entry_id": f"e{number}",
            "seed": 0,
            "origin": "tpe",
            "protected": False,
            "label": f"{NET} edm adam",
            "params": {"architecture": NET, "preconditioning": "edm", "lr": 1e-3},
            "distributions": {},
            "cost": {"parameters": 10, "forward_flops": 10},
            "config": {
                "train": {
                    "rungs_nimg": [100],
                    "budget_nimg": 100,
                    "device": "cpu",
                    "threads": 1,
                    "workers": 1,
                }
            },
        }
        report = {
            "kind": "report",
            "phase": "end",
            "rung": None,
            "nimg": 100,
            "metrics": {"eval/fd_randconv": 5.0} if number == 0 else {},
            "seconds": {"train": 3.0},
            "notes": [f"the checkpoint in {HOME}/last.st is not used"] if number == 0 else [],
            "artifacts": [],
        }
        outcome = {
            "kind": "outcome",
            "outcome": "failed" if number else "completed",
            "cause": f"no image cache in {HOME}/echo dir/cache; put it back" if number else "",
        }
        for k, record in enumerate(
            [suggestion, {"kind": "start", "host": "here", "pid": 1}, report, outcome]
        ):
            records.append({**record, "trial": number, "t": plan["t"] + 10 * number + k})
    records.append({"kind": "end", "t": plan["t"] + 50, "summary": {}})
    return records


def test_no_place_reaches_mlflow_and_its_board_is_the_journals(
    store: Store, tmp_path: Path
) -> None:
    records = journal()
    Projector(store).project(replay(records, tmp_path))
    held = json.dumps(dump(store))
    for word in ("somebody", "nets", "echo dir", "group_by", "last.st"):
        assert word not in held
    assert "no image cache in (path); put it back" in held
    assert "my_space.py:wide" in held
    assert "echo/000 my_net.py:build edm adam" in held
    history = History(records)
    ours = to_json(build(rows(history), [facts_of(history.plan.to_dict())]))
    sweep = read.sweeps(store, "echo")[0]
    assert to_json(build(sweep.rows, [sweep.facts])) == ours
    assert "data: skipped 2 of (path)" in ours
    assert "somebody" not in ours


def test_a_row_has_its_notes_and_what_it_worked() -> None:
    first, second = rows(History(journal()))
    assert first.notes == ["the checkpoint in (path) is not used"]
    assert second.notes == []
    assert first.values == {
        "size/params_m": 1e-5,
        "size/gflops_per_img": 1e-8,
        "cost/kimg": 0.1,
        "cost/wall_sec": 2.0,
        "cost/train_sec": 3.0,
        "cost/busy_sec": 3.0,
    }
    assert first.cell == {"architecture": "my_net.py:build", "preconditioning": "edm"}
    assert first.label == "my_net.py:build edm adam"
