"""Recorded trials: the configurations by number, rows as a sweep would see them, going on."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench.errors import BenchError
from bench.run import Report, run_trial
from bench.sweep.deciding.resolve import resolve
from bench.workloads.echo import WORKLOAD
from tests.measure import record_trials
from tests.measure.defaults import SIMULATED, sweep_frame
from tests.measure.record_trials import Drawn, seeds_of, trainings
from tests.measure.trial_table import Layout, Recorded, Table, read_tables

BUDGET = 0.02  # TFLOP: enough for three rungs of whole batches at smoke scale


@pytest.fixture(scope="module")
def configurations(drawn: Path) -> Drawn:
    frame = sweep_frame(
        SIMULATED, "echo", "smoke", BUDGET, drawn.parent,
        lambda scale: dataclasses.replace(scale, rungs=record_trials.RUNGS, keep=(0.25, 0.25)),
    )  # fmt: skip
    return Drawn(frame, WORKLOAD.space, WORKLOAD.cell_axes)


@pytest.fixture
def record(drawn: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> CliRunner:
    monkeypatch.setattr(record_trials, "home_of_data", lambda: drawn.parent)
    monkeypatch.chdir(tmp_path)
    return CliRunner()


def call(runner: CliRunner, *more: str) -> None:
    given = ["table.csv", "--scale", "smoke", "--budget", str(BUDGET), "--reported", "16", *more]
    runner.invoke(record_trials.main, given, catch_exceptions=False, standalone_mode=False)


def test_the_first_are_the_defaults_and_the_rest_go_round_the_cells(configurations: Drawn) -> None:
    count = len(configurations.cells)
    assert count == 12
    assert [configurations.params(n) for n in range(count)] == configurations.defaults
    drawn = [configurations.params(n) for n in range(count, 5 * count)]
    cells = Counter((p["architecture"], p["preconditioning"]) for p in drawn)
    assert set(cells.values()) == {4}
    assert len({p["lr"] for p in drawn}) == len(drawn)
    assert drawn == [configurations.params(n) for n in range(count, 5 * count)]
    for params in drawn:
        assert ("P_mean" in params) == (params["preconditioning"] == "edm")
        resolve(configurations.frame, params, 0)


def test_every_fifth_number_has_three_seeds_and_sets_take_turns(configurations: Drawn) -> None:
    assert [len(seeds_of(n)) for n in range(6)] == [3, 1, 1, 1, 1, 3]
    frames = {"a": configurations, "b": configurations}
    order = list(trainings(frames, range(4, 6), (0, 1)))
    assert order == [(d, n, s) for n, s in ((4, 0), (5, 0), (5, 1), (5, 2)) for d in "ab"]
    assert {n for _, n, _ in trainings(frames, range(9), (1, 2))} == {1, 3, 5, 7}


def test_a_row_is_what_the_trial_of_a_sweep_reports(
    record: CliRunner, configurations: Drawn, tmp_path: Path
) -> None:
    call(record, "--first", "13", "--count", "1")
    (row,), shared = read_tables([tmp_path / "table.csv"])
    params = configurations.params(13)
    assert row.params == params
    rungs: list[Report] = []

    def heard(report: Report) -> bool:
        if report.phase == "rung":
            rungs.append(report)
        return False

    end = run_trial(resolve(configurations.frame, params, 0), tmp_path / "trial", heard)
    assert [measures["fd_randconv"] for measures in row.rungs] == [r.value for r in rungs]
    assert list(row.rung_nimg) == [r.nimg for r in rungs]
    assert row.report["fd_randconv"] == end.metrics["eval/fd_randconv"]
    assert {*row.report} == {"fd_randconv", "fd_randconv_se", "fd_drawn", "denoise_error"}
    assert 0 < row.train_sec < row.all_sec
    assert row.tflop == pytest.approx(BUDGET, rel=0.1)  # whole batches
    assert shared["budget_tflop"] == BUDGET
    assert shared["rungs"] == list(record_trials.RUNGS)


def test_a_recording_goes_on_after_a_kill_and_trains_nothing_twice(
    record: CliRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[int] = []

    def train(config: object, params: object, layout: Layout, **which: object) -> Recorded:
        trained.append(which["number"])  # type: ignore[arg-type]
        return recorded(**which)

    monkeypatch.setattr(record_trials, "train", train)
    file = tmp_path / "table.csv"
    call(record, "--first", "1", "--count", "3")
    whole = file.read_text()
    file.write_text(whole[:-5])  # the last row torn
    call(record, "--first", "1", "--count", "4")
    assert trained == [1, 2, 3, 3, 4]
    assert file.read_text().startswith(whole)
    provenance = json.loads(file.with_suffix(".json").read_text())
    assert len(provenance["calls"]) == 2
    with pytest.raises(BenchError, match="budget_tflop"):
        call(record, "--budget", "0.03")


def recorded(**which: object) -> Recorded:
    body: dict[str, object] = {
        "data": "a", "number": 0, "seed": 0, "params": {"lr": 1e-3, "batch_size": 8, "net": "adm"},
        "outcome": "completed", "parameters": 5, "nimg": 64, "tflop": 0.5, "train_sec": 1.5,
        "all_sec": 2.5, "rungs": ({"fd": 2.0, "denoise_error": 3.0}, {"fd": 1.0}),
        "rung_nimg": (16, 64), "rung_train_sec": (0.5, 1.5), "rung_all_sec": (1.0, 2.5),
        "report": {"fd": 1.5, "fd_se": 0.1},
    }  # fmt: skip
    return Recorded(**{**body, **which})  # type: ignore[arg-type]


def test_rows_come_back_as_they_were_from_several_files(tmp_path: Path) -> None:
    layout = Layout(params=("net", "lr", "batch_size", "P_std"), score="fd", rungs=2)
    shared = {"space": {"net": "", "lr": "", "batch_size": "", "P_std": ""}, "score": "fd"}
    shared |= {"rungs": (0.5, 1.0)}  # type: ignore[dict-item]
    rows = [
        recorded(),
        recorded(number=1, outcome="diverged", cause="loss, at\n3", rungs=(), rung_nimg=(),
                 rung_train_sec=(), rung_all_sec=(), report={}),
    ]  # fmt: skip
    paths = [tmp_path / "one.csv", tmp_path / "two.csv"]
    for path, row in zip(paths, rows, strict=True):
        table = Table(path, layout, shared)
        table.begin({}, {"a": "digest"})
        table.append(row)
        assert Table(path, layout, shared).known == {row.key}
    read, _ = read_tables(paths)
    assert read == [rows[0], dataclasses.replace(rows[1], cause="loss, at")]
    with pytest.raises(BenchError, match="set a was digest"):
        Table(paths[0], layout, shared).begin({}, {"a": "other"})
