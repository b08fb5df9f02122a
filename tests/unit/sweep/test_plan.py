"""The plan as a record: written, read back equal, and nothing in it that is not known."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from backbones.inputs import Inputs
from bench.config import DataConfig, TaskConfig
from bench.errors import BenchError
from bench.sweep.record.history import History
from bench.sweep.record.journal import Journal, read
from bench.sweep.record.plan import Plan, RaceRules, SharedFrame, SweepBudget
from bench.sweep.record.records import typed
from leaderboards.measures import Measure
from leaderboards.references import Reference
from tests.unit.sweep.fakes import plan
from tests.unit.sweep.written import extend, plan_record

VOLUMES = SharedFrame(
    data=DataConfig(name="scans", digest="d" * 16, simulated=False, cache="cache/d"),
    task=TaskConfig(
        kind="restore.py:Restore",
        inputs=Inputs(
            spatial=(4, 16, 8), channels=1, out_channels=2, condition_channels=3, vector_dim=2
        ),
        data_range=(0.0, 1.0),
        sigma_data=0.3,
        args={"noise": [0.1, 0.2], "name": "gaussian"},
    ),
    device="cuda",
    precision="bfloat16",
    threads=4,
)
WHOLE = plan(  # every field away from its default
    trials=None,
    fixed={"sampler": "euler", "attention": [8, 4], "augment": 0.1, "flag": True, "none": None},
    backbones=("nets/my_net.py:build", "dit"),
    cells=({"architecture": "dit", "preconditioning": "-", "method": "direct"},),
    cell_axes=("architecture", "preconditioning", "method"),
    metrics=("prdc", "fd:inception"),
    even_axes=("method",),
    budget=SweepBudget(wall_sec=60.0, device_sec=1e6),
    frame=VOLUMES,
    score=Measure(key="psnr", title="PSNR", direction="higher", scale="difference", unit="dB"),
    notes=("one", "two"),
    confirm=({"number": 4, "of": 1},),
    race=RaceRules(seeds=5, within=0.03),
    given_up=(3,),
    memory_gb=1.5,
    table=False,
    device_gb=80.0,
    pack=2,
    storage="s3://bucket/bench",
    address="head:6379",
    study={"name": "table1", "seeds": 3},
    arms=(
        {"number": 9, "name": "adm", "params": {"lr": 0.1}, "config": {}, "apart": {"task": "x"}},
    ),
    references=(
        Reference(key="floor", title="real", count=3, values={"eval/fd": 5.5}, notes=("few",)),
    ),
    forecast={"core_seconds": 1.0, "trials_to_rung": [4.0, 2.0, 1.0]},
    versions={"torch": "2"},
)


def test_no_field_of_the_whole_plan_is_left_at_its_default() -> None:
    for field in dataclasses.fields(Plan):
        if field.default is not dataclasses.MISSING and field.name != "t":
            assert getattr(WHOLE, field.name) != field.default, field.name


@pytest.mark.parametrize("written", [plan(), WHOLE], ids=["fake", "whole"])
def test_from_the_journal_comes_the_plan_that_was_written(tmp_path: Path, written: Plan) -> None:
    with Journal(tmp_path / "journal.jsonl", clock=lambda: 7.5) as journal:
        journal.append("plan", **written.body())
    records = read(tmp_path / "journal.jsonl")
    again = History(records).plan
    assert again == dataclasses.replace(written, t=7.5)
    assert typed(records[0]) == again
    assert typed(json.loads(json.dumps({"kind": "plan", **again.to_dict()}))) == again


def test_an_extension_changes_what_it_names_and_no_more() -> None:
    history = History([{"kind": "plan", **WHOLE.to_dict()}])
    changes: dict[str, Any] = {"trials": 9, "budget": {}, "confirm": [{"number": 5, "of": 2}]}
    history.apply(extend(1.0, **changes))
    assert history.plan == dataclasses.replace(
        WHOLE, trials=9, budget=SweepBudget(), confirm=({"number": 5, "of": 2},)
    )
    assert not history.plan.budget.limited
    assert WHOLE.budget.limited


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ((), "unknown key of plan record 'colour'"),
        (("budget",), "unknown key of plan record.budget 'colour'"),
        (("frame",), "unknown key of plan record.frame 'colour'"),
        (("frame", "task"), "unknown key of plan record.frame.task 'colour'"),
        (("frame", "task", "inputs"), "unknown key of plan record.frame.task.inputs 'colour'"),
        (("score",), "unknown key of plan record.score 'colour'"),
    ],
)
def test_an_unknown_field_is_refused_wherever_it_stands(
    place: tuple[str, ...], message: str
) -> None:
    record = plan_record()
    body = record
    for key in place:
        body = body[key]
    body["colour"] = "red"
    with pytest.raises(BenchError, match=message):
        typed(record)


REQUIRED = [
    f.name
    for f in dataclasses.fields(Plan)
    if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
]


@pytest.mark.parametrize("name", REQUIRED)
def test_a_missing_field_is_refused_by_its_name(name: str) -> None:
    record = plan_record()
    del record[name]
    with pytest.raises(BenchError, match=f"plan record.{name} is missing"):
        typed(record)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rungs": (0.5, 0.5), "keep": (0.5,)}, "plan.rungs must be positive and rise"),
        ({"rungs": (), "keep": ()}, "plan.rungs must be positive and rise"),
        ({"keep": (0.5,)}, "plan.keep must be a share of each rung but the last"),
        ({"keep": (0.5, 1.5)}, "plan.keep must be a share of each rung but the last"),
        ({"protocol": {"metric": "fd_fake"}}, "plan.protocol.direction is not the score's"),
        ({"data": {"name": "x", "digest": "y"}}, "plan.data.simulated is missing"),
        ({"device": {}}, "plan.device.text is missing"),
        ({"confirm": ({"number": 3},)}, "plan.confirm.of is missing"),
    ],
)
def test_a_plan_that_contradicts_itself_is_none(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BenchError, match=message):
        plan(**changes)
