"""A tuning from end to end: what it leaves, going on after a stop, and mistakes in one line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from mlflow import MlflowClient
from mlflow.entities import Run
from PIL import Image

from bench.errors import BenchError
from bench.sweep.record import board_rows, finished, journal
from bench.sweep.record.home import Home
from bench.train import checkpoint, snapshots
from bench.tune import tuning_findings
from bench.tune.judge import Judge, Measured
from bench.tune.tuning import Tuning, tune
from tests.unit.command_line import Bench
from tests.unit.tune.conftest import SWEEP

COUNT = 12


def quiet(text: str) -> None:
    return


@pytest.fixture
def tuned(finished_home: Home) -> Tuning:
    return tune(finished.find(finished_home, SWEEP, None), COUNT, 0, quiet)


def scores(tuning: Tuning) -> list[tuple[int, int, float | None]]:
    return [
        (count, number, measured.value)
        for count, values in zip(tuning.counts, tuning.values, strict=True)
        for number, measured in sorted(values.items())
    ]


def test_what_a_tuning_does_and_leaves(tuned: Tuning) -> None:
    assert len(tuned.candidates) == COUNT
    assert tuned.counts == sorted(tuned.counts)
    assert tuned.counts[-1] == 24  # the board's
    assert set(tuned.values[0]) == set(range(COUNT))
    assert 0 in tuned.report
    assert set(tuned.report) == set(tuned.values[-1])
    assert tuned.chosen == tuned.order()[0]
    rows = tuning_findings.finalists(tuned)
    assert [row.candidate.number for row in rows if row.chosen] == [tuned.chosen]
    assert any(row.on_front for row in rows)
    assert all(row.gain is not None for row in rows if row.candidate.number)
    summary, picture = tuning_findings.keep(tuned)
    body = json.loads(summary.read_text())
    assert body["trial"] == 0
    assert len(body["finalists"]) == len(rows)
    with Image.open(picture) as image:
        assert image.size[0] > 1000
    assert tuning_findings.metrics(tuned)["tune/score"] == tuned.report[tuned.chosen].value


def test_candidate_0_is_the_trial_as_it_was_judged(finished_home: Home) -> None:
    """The same weights and setting; from the trial's own noise, its own score to the bit."""
    trial = finished.find(finished_home, SWEEP, 0)
    judge = Judge(trial, 0)
    judge._seeds["report"] = trial.config.seed
    ours = judge.on_report(_own(trial))
    torch.manual_seed(5)
    again = Judge(trial, 0)
    again._seeds["report"] = trial.config.seed
    assert again.on_report(_own(trial)).value == ours.value
    net = judge.network.with_average(trial.config.sample.ema)
    kept, _ = checkpoint.read(trial.folder / finished.WEIGHTS)
    for name, value in net.state_dict().items():
        assert torch.equal(value, kept[name])


def test_predictions_add_up_to_those_drawn_at_once(finished_home: Home) -> None:
    trial = finished.find(finished_home, SWEEP, 0)
    judge, at_once = Judge(trial, 0), Judge(trial, 0)
    for count in (5, 5, 16):
        grown = judge.on_select(_own(trial), count)
    whole = at_once.on_select(_own(trial), 16)
    assert grown.count == whole.count == 16
    assert grown.value == pytest.approx(whole.value, rel=1e-6)  # batches of another size


@pytest.mark.parametrize("stop_after", [3, COUNT + 3, 10**9])
def test_a_second_call_goes_on(
    finished_home: Home, monkeypatch: pytest.MonkeyPatch, stop_after: int
) -> None:
    """Stopped anywhere, nothing is measured twice; with fixed counts the end is the same."""
    monkeypatch.setattr(
        "bench.tune.tuning_race.cases_next", lambda had, most, *rest: min(most, had + 8)
    )
    trial = finished.find(finished_home, SWEEP, None)
    whole = tune(trial, COUNT, 0, quiet)
    shutil.rmtree(whole.folder)
    measured: list[int] = []
    plain = Judge.on_select

    def counted(self: Judge, candidate: object, count: int) -> Measured:
        measured.append(count)
        if len(measured) > stop_after + 2:  # two are for the time it takes
            raise KeyboardInterrupt
        return plain(self, candidate, count)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(Judge, "on_select", counted)
        patch.setattr(Judge, "on_report", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            tune(trial, COUNT, 0, quiet)
    before = journal.read(whole.folder / "journal.jsonl")
    again = tune(trial, COUNT, 0, quiet)
    records = journal.read(whole.folder / "journal.jsonl")
    assert records[: len(before)] == before
    keys = [(len(r["measured"]["draws"]), r["kind"], r["candidate"], r["measured"]["count"])
            for r in records if r["kind"] in ("value", "report")]  # fmt: skip
    assert len(keys) == len(set(keys))
    assert [row[:2] for row in scores(again)] == [row[:2] for row in scores(whole)]
    for (_, _, one), (_, _, other) in zip(scores(again), scores(whole), strict=True):
        assert one == pytest.approx(other, rel=1e-6)
    assert again.chosen == whole.chosen
    size = (whole.folder / "journal.jsonl").stat().st_size
    assert tune(trial, COUNT, 0, quiet).chosen == whole.chosen  # it is read, not made again
    assert (whole.folder / "journal.jsonl").stat().st_size == size


def test_without_its_snapshots_only_the_judged_average_is_tried(finished_home: Home) -> None:
    folder = finished_home.folder(SWEEP) / "trials" / "0000"
    next(folder.glob("snapshot-*")).unlink()
    tuning = tune(finished.find(finished_home, SWEEP, 0), 6, 0, quiet)
    assert {one.sample.ema for one in tuning.candidates} == {0.1}
    assert any("no other length was tried" in line for line in tuning_findings.lines(tuning))


def test_the_command_prints_a_table_and_where_its_files_are(
    bench: Bench, finished_home: Home
) -> None:
    said = bench("tune", SWEEP, "--configurations", "6", "--home", str(finished_home.path))
    assert said.code == 0, said.err
    assert "as judged" in said.out
    history = finished_home.history(SWEEP)
    trial = history.trials[0]
    assert trial.metrics["tune/score"] > 0
    assert history.ended is not None
    row = board_rows.rows(history)[0]
    assert row.values["tune/score"] == trial.metrics["tune/score"]
    assert row.score == trial.metrics.get("eval/fd_fake")  # what trials are ranked by stays
    run = recorded(finished_home)
    assert run.data.metrics["tune/score"] == trial.metrics["tune/score"]
    assert run.info.status == "FINISHED"
    assert "6 configurations in" in said.out
    assert "pareto.png" in said.out
    again = bench("tune", SWEEP, "--configurations", "6", "--home", str(finished_home.path))
    assert again.code == 0
    assert len(journal.read(finished_home.journal(SWEEP))) == 10  # written once


def test_finalists_are_tuned_alike_and_stand_on_the_board(
    bench: Bench, finished_home: Home
) -> None:
    where = ("--home", str(finished_home.path), "--offline", "--configurations", "4")
    said = bench("tune", SWEEP, "--finalists", *where)
    assert said.code == 0, said.err
    assert "tuning trial 0" in said.out
    assert "sampled as bench tune chose on select" in " ".join(said.out.split())
    refused = bench("tune", SWEEP, "--finalists", "--trial", "0", *where)
    assert (refused.code, refused.err.count("\n")) == (2, 1)


def recorded(home: Home) -> Run:
    """Trial 0's run in the local MLflow store."""
    client = MlflowClient(f"sqlite:///{home.path / 'mlflow.db'}")
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    (run,) = client.search_runs(experiments, "tags.`bench.trial` = '0'")
    return run


def _gone(folder: Path) -> None:
    (folder / finished.WEIGHTS).unlink()


def _damaged(folder: Path) -> None:
    (folder / finished.WEIGHTS).write_bytes(b"x" * 100)


def _of_another_shape(folder: Path) -> None:
    checkpoint.write(folder / finished.WEIGHTS, {"w": torch.zeros(3)}, {"nimg": 64})


def _of_another_run(folder: Path) -> None:
    tensors, _ = checkpoint.read(folder / finished.WEIGHTS)
    checkpoint.write(folder / finished.WEIGHTS, tensors, {"nimg": 8})


def _damaged_snapshot(folder: Path) -> None:
    snapshots.path_at(folder, 64).write_bytes(b"x" * 100)


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (_gone, "are gone"),
        (_damaged, "cannot be read"),
        (_of_another_shape, "do not fit its network"),
        (_of_another_run, "is of another run"),
        (_damaged_snapshot, "cannot be read"),
    ],
)
def test_bad_weights_are_said_in_one_line(
    bench: Bench, finished_home: Home, harm: object, says: str
) -> None:
    harm(finished_home.folder(SWEEP) / "trials" / "0000")  # type: ignore[operator]
    said = bench("tune", SWEEP, "--configurations", "12", "--home", str(finished_home.path))
    assert said.code == 2
    assert says in said.err
    assert said.err.count("\n") == 1


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("--trial", "1"), "trial 1 of fake-1 is pruned"),
        (("--trial", "7"), "has no trial 7"),
        (("--configurations", "1"), "must be at least 2"),
    ],
)
def test_bad_requests_are_said_in_one_line(
    bench: Bench, finished_home: Home, args: tuple[str, ...], says: str
) -> None:
    said = bench("tune", SWEEP, *args, "--home", str(finished_home.path))
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert says in said.err


def test_other_data_than_the_trial_had(
    finished_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Other:
        digest = "other"

    monkeypatch.setattr(finished, "load_cache", lambda path: Other())
    with pytest.raises(BenchError, match="no more those it was run on"):
        finished.find(finished_home, SWEEP, 0)


def _own(trial: finished.FinishedTrial):  # type: ignore[no-untyped-def]
    from bench.tune.candidates import design

    return design(trial.config, 2, 0, any_ema=False)[0]


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
