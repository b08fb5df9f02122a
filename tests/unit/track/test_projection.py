"""The projection: what the runs hold, and that it does not matter how often it is made."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.errors import BenchError
from bench.track import read
from bench.track.mlflow_projection import Projector
from bench.track.store import Store
from leaderboards.board import build
from leaderboards.facts import facts_of
from leaderboards.text import to_json
from tests.unit.track.dump import dump
from tests.unit.track.records import START, final_rows, journal, plan, trial_records


def test_runs_are_nested_named_and_have_their_outcomes(projected: Store) -> None:
    runs = dump(projected)
    parent = runs["echo/calm-otter"]
    assert parent["status"] == "FINISHED"
    assert parent["start"] == round(START * 1000)
    assert "Simulated data" in parent["tags"]["mlflow.note.content"]
    trials = {name: run for name, run in runs.items() if run["tags"]["bench.kind"] == "trial"}
    assert sorted(trials)[1] == "echo/001 ddpmpp-edm adam 1e-4 b32"
    assert all(run["parent"] == "calm-otter" for run in trials.values())
    seen = [(run["tags"]["bench.outcome"], run["status"]) for _, run in sorted(trials.items())]
    assert seen == [
        ("completed", "FINISHED"),
        ("pruned", "FINISHED"),
        ("diverged", "FAILED"),
        ("out-of-memory", "FAILED"),
        ("failed", "FAILED"),
        ("completed", "FINISHED"),
    ]
    first = trials["echo/000 ddpmpp-edm adam 0e-4 b32"]
    assert first["params"] == {
        "lr": "0.0",
        "optimizer": "adam",
        "batch_size": "32",
        "architecture": "ddpmpp",
        "seed": "0",
    }
    assert [point[0] for point in first["metrics"]["train/loss"]] == [
        *(400, 800, 1200, 1600, 2000),
        *(2400, 12000),
    ]
    assert first["metrics"]["eval/fd_randconv"] == [(12000, round((START + 8) * 1000), 40.0)]
    assert first["metrics"]["rung/fd_randconv"][0][2] == 90.0 / 7
    assert first["tags"]["bench.data"] == "simulated"
    assert first["tags"]["bench.protocol_digest"] == "p0"
    assert json.loads(first["tags"]["bench.versions"]) == plan()["versions"]


def test_real_pictures_and_paths_stay_here_unless_asked(projected: Store) -> None:
    runs = dump(projected)
    assert "/home/somebody" not in json.dumps(runs)
    name = "echo/000 ddpmpp-edm adam 0e-4 b32"
    assert runs[name]["artifacts"] == ["samples/samples.png"]


def test_real_pictures_go_up_when_asked(store: Store, picture: Path) -> None:
    records = [plan(), *trial_records(0, "completed", picture)]
    Projector(store, share_real=True).project(records)
    runs = dump(store)
    name = "echo/000 ddpmpp-edm adam 0e-4 b32"
    assert runs[name]["artifacts"] == ["samples/real.png", "samples/samples.png"]


def test_a_picture_that_is_gone_is_a_note(store: Store, tmp_path: Path) -> None:
    projector = Projector(store)
    projector.project([plan(), *trial_records(0, "completed", tmp_path / "gone.png")])
    assert projector.notes[0] == "trial 0: samples.png gone from disk, not uploaded"


def test_again_in_pieces_and_rebuilt_are_the_same(
    store: Store, picture: Path, projected: Store
) -> None:
    records, once = journal(picture), dump(projected)
    live = Projector(store)
    draw = random.Random(3)
    start = 0
    while start < len(records):
        stop = start + draw.randint(1, 4)
        if draw.random() < 0.3:  # the driver died and a new one starts from the journal
            live = Projector(store)
            live.project(records[:start])
        live.project(records[start:stop])
        start = stop
    assert _without_paths(dump(store)) == _without_paths(once)
    Projector(store).project(records)
    assert _without_paths(dump(store)) == _without_paths(once)


def _without_paths(runs: dict[str, Any]) -> dict[str, Any]:
    """The digest covers artifact paths, which differ between the two folders of this test."""
    for run in runs.values():
        run["tags"].pop("bench.digest", None)
    return runs


def test_rows_and_board_come_back_the_same(projected: Store) -> None:
    sweep = read.sweeps(projected, "echo")[0]
    assert sweep.rows == tuple(final_rows())
    assert sweep.without_row == 0
    ours = build(final_rows(), [facts_of(plan())])
    theirs = build(sweep.rows, [sweep.facts])
    assert to_json(theirs) == to_json(ours)
    assert "device: kind cpu, cores 2, model test" in ours.claims


def test_a_row_too_long_for_one_tag_comes_back(store: Store) -> None:
    records = [plan(), *trial_records(0, "completed")]
    long = replace(final_rows()[0], cause="x" * 12_000)
    records[-1]["row"] = long.to_dict()
    Projector(store).project(records)
    assert read.sweeps(store, "echo")[0].rows == (long,)
    records[-1]["row"] = final_rows()[0].to_dict()  # shorter again: stale pieces do no harm
    Projector(store).project(records)
    assert read.sweeps(store, "echo")[0].rows == (final_rows()[0],)


def test_an_interrupted_trial_goes_on_in_the_same_run(store: Store) -> None:
    records = journal()
    stop = next(k for k, r in enumerate(records) if r.get("outcome") == "interrupted")
    name = "echo/005 ddpmpp-edm adam 5e-4 b32"
    projector = Projector(store)
    projector.project(records[: stop + 1])
    assert dump(store)[name]["status"] == "KILLED"
    projector.project(records[stop + 1 : stop + 2])
    run = dump(store)[name]
    assert (run["status"], run["tags"]["bench.outcome"]) == ("RUNNING", "running")
    projector.project(records[stop + 2 :])
    assert dump(store)[name]["status"] == "FINISHED"


def test_leaderboard_runs_are_flat_with_the_best_last_to_start(projected: Store) -> None:
    runs = dump(projected)
    entries = {n: r for n, r in runs.items() if n.startswith("echo-leaderboard/")}
    assert len(entries) == 6
    assert all(run["parent"] is None for run in entries.values())
    latest = max(entries.items(), key=lambda item: item[1]["start"])
    # nothing was trained twice: no ranks, and a tier of those that may be best
    assert latest[0] == "echo-leaderboard/completed ddpmpp-edm adam 0e-4 b32"
    assert "rank_high" not in latest[1]["metrics"]
    assert latest[1]["tags"]["bench.tier"] == "A"
    assert latest[1]["tags"]["bench.may_be_best"] == "true"
    pruned = entries["echo-leaderboard/pruned ddpmpp-edm adam 1e-4 b32"]
    assert pruned["status"] == "FINISHED"


def test_leaderboard_runs_have_ranks_once_an_entry_was_trained_twice(store: Store) -> None:
    records = journal()
    again = trial_records(6, "completed")
    again[-1]["row"] = replace(final_rows()[0], trial=6, trial_id="t006", seed=6).to_dict()
    Projector(store).project([*records[:-1], *again, records[-1]])
    runs = dump(store)
    latest = max(
        (item for item in runs.items() if item[0].startswith("echo-leaderboard/")),
        key=lambda item: item[1]["start"],
    )
    assert latest[0] == "echo-leaderboard/1-2 ddpmpp-edm adam 0e-4 b32"
    assert latest[1]["metrics"]["rank_high"][0][2] == 2.0


def test_two_sweeps_of_one_name_do_not_mix(store: Store) -> None:
    Projector(store).project([plan(), *trial_records(0, "completed")])
    later = {**plan(), "t": START + 5000}
    Projector(store).project([later, *trial_records(0, "pruned")])
    assert [len(sweep.rows) for sweep in read.sweeps(store, "echo", "calm-otter")] == [1, 1]
    assert read.sweeps(store, "echo")[0].rows[0].outcome == "pruned"


def test_what_is_not_there_is_said(store: Store, projected: Store) -> None:
    with pytest.raises(BenchError, match=r"holds no sweep of 'echo'.*bench sync"):
        read.sweeps(store, "echo")
    with pytest.raises(BenchError, match="unknown workload 'ecko'; did you mean 'echo'"):
        read.sweeps(store, "ecko")
    with pytest.raises(BenchError, match="did you mean 'calm-otter'"):
        read.sweeps(projected, "echo", "calm-oter")


def test_a_batch_larger_than_mlflows_limit(store: Store) -> None:
    records = [plan(), *trial_records(0, "completed", points=2399)]
    Projector(store).project(records)
    history = dump(store)["echo/000 ddpmpp-edm adam 0e-4 b32"]["metrics"]["train/loss"]
    assert len(history) == 2401


def test_a_metric_that_is_not_finite_does_not_stop_the_projection(store: Store) -> None:
    records = [plan(), *trial_records(0, "diverged")]
    records[3]["metrics"] = {"train/loss": float("nan"), "train/grad norm!": float("inf")}
    Projector(store).project(records)
    run = dump(store)["echo/000 ddpmpp-edm adam 0e-4 b32"]
    assert run["status"] == "FAILED"
