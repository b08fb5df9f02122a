"""A metric that nobody has heard of: its measure and its value, and no edit anywhere else."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from typing import Any

from rich.console import Console

from bench.sweep.record.board_rows import rows
from bench.sweep.record.history import History
from bench.track import read
from bench.track.mlflow_projection import Projector
from bench.track.store import Store
from leaderboards.board import Board, build
from leaderboards.draw import Drawing
from leaderboards.facts import facts_of
from leaderboards.measures import Measure
from leaderboards.text import to_csv, to_json, to_markdown
from tests.unit.sweep import fakes
from tests.unit.track.dump import dump
from tests.unit.track.records import plan, trial_records

WHISKERS = Measure(key="eval/whiskers", title="whiskers seen", direction="higher", drop=1)
SCORE = Measure(key="fd_randconv", title="fd_randconv", direction="lower")
VALUES = {"eval/whiskers": 41.5, "eval/whiskers_se": 0.25}


def records() -> list[dict[str, Any]]:
    """A sweep of one trial, whose plan and row hold the metric."""
    first, *others = [plan(trials=1), *trial_records(0, "completed")]
    first["measures"] = [*first["measures"], WHISKERS.to_dict()]
    first["cell_axes"] = ["breed"]
    others[-1]["row"] |= {"values": dict(VALUES), "cell": {"breed": "tabby"}, "select": 43.5}
    return [first, *others, {"kind": "end", "t": first["t"] + 90, "summary": {}}]


def drawn(board: Board) -> str:
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(Drawing(board=board))
    return console.export_text()


def test_it_is_in_every_form_of_the_board_and_in_mlflow(store: Store) -> None:
    Projector(store).project(records())
    (sweep,) = read.sweeps(store, "echo")
    board = build(sweep.rows, [sweep.facts])
    assert board.measures[-1] == WHISKERS

    assert "whiskers" in drawn(board)
    assert "41.5" in drawn(board)
    assert "| whiskers seen |" in to_markdown(board)
    assert "| 41.5 |" in to_markdown(board)
    (line,) = csv.DictReader(io.StringIO(to_csv(board)))
    assert (line["eval/whiskers"], line["eval/whiskers_se"]) == ("41.5", "0.25")
    assert line["breed"] == "tabby"
    content = json.loads(to_json(board))
    assert content["entries"][0]["values"] == VALUES
    assert content["entries"][0]["cell"] == {"breed": "tabby"}
    assert content["measures"][-1]["key"] == "eval/whiskers"

    runs = dump(store)
    trial, entry = (
        next(run for run in runs.values() if run["tags"]["bench.kind"] == kind)
        for kind in ("trial", "entry")
    )
    for run in (trial, entry):
        assert run["metrics"]["eval/whiskers"][0][2] == 41.5
        assert run["metrics"]["eval/whiskers_se"][0][2] == 0.25
        assert run["tags"]["bench.cell.breed"] == "tabby"
    assert trial["metrics"]["eval/select"][0][2] == 43.5
    assert trial["metrics"]["eval/fd_randconv_se"][0][2] == sweep.rows[0].score_se
    note = runs["echo/calm-otter"]["tags"]["mlflow.note.content"]
    assert "data: 3 files were skipped" in note


def test_it_is_drawn_without_any_facts_too() -> None:
    row = replace(rows_of(metrics={"eval/fd_randconv": 5.0})[0], values=dict(VALUES))
    board = build([row])
    assert "| whiskers |" in to_markdown(board)
    assert "whiskers_se" not in to_markdown(board)


def rows_of(outcome: str = "completed", **reported: Any) -> list[Any]:
    """The row of one trial as a journal gives it; `reported` replaces parts of its last report."""
    asked = fakes.plan(
        score=SCORE,
        measures=(WHISKERS,),
        rungs=(0.5, 1.0),
        keep=(0.5,),
        cell_axes=("breed", "colour"),
    )
    body: dict[str, Any] = {"kind": "plan", "t": 1_790_000_000.0, **asked.body()}
    suggestion = {
        **trial_records(0, "completed")[0],
        "params": {"breed": "tabby", "lr": 1e-3},
        "protected": False,
        "distributions": {},
        "cost": {"parameters": 2e6, "forward_flops": 3e9},
        "config": {"train": {"rungs_nimg": [50, 100], "device": "cpu", "threads": 2, "workers": 1}},
    }
    report = {
        "kind": "report",
        "trial": 0,
        "phase": "end",
        "nimg": 100,
        "metrics": {},
        "seconds": {"train": 3.0, "sample": 1.0, "save": 9.0},
        "notes": [],
        "artifacts": [],
        "t": body["t"] + 4,
    }
    rung = {
        **report,
        "phase": "rung",
        "rung": 0,
        "value": 7.0,
        "nimg": 50,
        "metrics": {"rung/whiskers": 12.0, "rung/purrs": 3.0, "train/loss": 0.5},
    }
    end = {"kind": "outcome", "trial": 0, "outcome": outcome, "cause": "", "t": body["t"] + 5}
    start = {"kind": "start", "trial": 0, "host": "a", "pid": 1, "t": body["t"] + 1}
    return rows(History([body, suggestion, start, rung, {**report, **reported}, end]))


def test_a_row_takes_every_measured_number_by_its_key() -> None:
    (row,) = rows_of(
        metrics={
            "eval/fd_randconv": 5.0,
            "eval/fd_randconv_se": 0.5,
            "eval/whiskers": 41.5,
            "own/anything": 2.0,
            "sample/nfe": 35.0,
            "stability/spikes": 1.0,
            "throughput/speed": 8.0,
            "train/loss": 0.1,
        }
    )
    assert (row.score, row.score_se) == (5.0, 0.5)
    assert row.values == {
        "eval/whiskers": 41.5,
        "own/anything": 2.0,
        "sample/nfe": 35.0,
        "stability/spikes": 1.0,
        "throughput/speed": 8.0,
        "size/params_m": 2.0,
        "size/gflops_per_img": 3.0,
        "cost/kimg": 0.1,
        "cost/wall_sec": 4.0,
        "cost/train_sec": 3.0,
        "cost/sample_sec": 1.0,
        "cost/busy_sec": 4.0,
    }
    assert row.cell == {"breed": "tabby", "colour": "-"}
    assert row.rungs == [{"fraction": 0.5, "nimg": 50, "value": 7.0, "train_sec": 6.0}]


def test_a_trial_that_did_not_finish_has_its_last_rungs_declared_values() -> None:
    (row,) = rows_of("pruned")
    assert row.values["eval/whiskers"] == 12.0
    assert "eval/purrs" not in row.values
    assert row.score is None
    (measured,) = rows_of("failed", metrics={"eval/whiskers": 13.0})
    assert measured.values["eval/whiskers"] == 13.0
    (done,) = rows_of("completed", metrics={"eval/fd_randconv": 5.0})
    assert "eval/whiskers" not in done.values


def test_the_facts_of_a_plan_are_those_of_its_projection(store: Store) -> None:
    Projector(store).project(records())
    assert read.sweeps(store, "echo")[0].facts == facts_of(records()[0])
