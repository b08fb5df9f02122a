"""`bench study`: names, mistakes in one line, findings whole or absent, and one run end to end."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
from mlflow import MlflowClient
from PIL import Image

from bench.cli import main
from bench.errors import BenchError
from bench.studies import running
from bench.studies.asked import Asked
from bench.studies.study import Answer, Arm, Findings, Setting, Study, Table
from bench.sweep.cost.equal import Equal
from bench.sweep.record.home import Home
from bench.workloads.workload import Scale


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str


Bench = Callable[..., Said]


@pytest.fixture
def bench(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Bench:
    """The command in this process, at home in tmp_path/home."""
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))

    def run(*args: str) -> Said:
        with pytest.raises(SystemExit) as left:
            main(list(args))
        said = capsys.readouterr()
        return Said(int(left.value.code or 0), said.out, said.err)

    return run


def test_without_a_name_the_studies_of_a_workload_are_listed(bench: Bench) -> None:
    assert "bench study chexpert instability: " in bench("study", "chexpert").out
    assert "bench study echo table1: " in bench("study", "echo").out
    assert "no study of birds" in bench("study", "birds").out


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("chexpert", "instabilty"), "did you mean 'instability'?"),
        (("chexprt", "instability"), "did you mean 'chexpert'?"),
        (("echo", "instability"), "is one of chexpert, not of echo"),
        (("chexpert", "instability", "--scale", "huge"), "unknown scale of chexpert 'huge'"),
        (("chexpert", "instability", "--budget", "-1"), "--budget must be positive"),
        (("chexpert", "instability", "--budget", "nan"), "--budget must be positive"),
        (("chexpert", "instability", "--set", "lr"), "is not KEY=VALUE"),
        (("chexpert", "instability", "--seeds", "0"), "--seeds must be at least 1"),
        (("chexpert", "instability", "--equal", "watts"), "unknown --equal 'watts'"),
        (("echo", "table1", "--scale", "smoke", "--set", "architecture=adm"), "leave out --set a"),
        (("chexpert", "instability", "--data", "/nowhere"), "/nowhere"),
        (("chexpert", "nosuch.py:STUDY"), "nosuch.py does not exist"),
        (("echo", "table1", "--of", "echo-1"), "trains networks of its own"),
        (("echo", "nfe-curve", "--of", "echo-1"), "no sweep 'echo-1' in"),
        (("echo", "nfe-curve", "--of", "echo-1", "--budget", ".5"), "leave out --budget"),
        (("echo", "nfe-curve", "--trial", "1"), "name it with --of"),
    ],
)
def test_a_mistake_is_one_line(
    bench: Bench, tmp_path: Path, args: tuple[str, ...], said: str
) -> None:
    answer = bench("study", *args)

    assert answer.code == 2
    assert said in answer.err
    assert len(answer.err.splitlines()) == 1
    assert not list((tmp_path / "home").glob("studies/*"))


class Half(Study):
    """Asks for one trial, works something out, asks for another, and breaks off as it is told."""

    name: ClassVar[str] = "half"
    title: ClassVar[str] = "does it go on?"
    workloads: ClassVar[frozenset[str]] = frozenset({"chexpert"})

    def __init__(self) -> None:
        self.end: BaseException | None = None
        self.worked_out = 0
        self.second_lr = 1e-3

    def budget(self, scale: Scale) -> Equal:
        return Equal(kind="nimg", amount=0.1)

    def answer(self, setting: Setting) -> Answer:
        (first,) = yield (self.arm(setting, "one"),)
        assert first.outcome == "completed"
        assert first.config.train.budget_nimg == 96  # .1 kimg in whole batches of 8
        assert first.log() is not None

        def count() -> int:
            self.worked_out += 1
            return self.worked_out

        worked_out = setting.kept.numbers("count", count)
        (second,) = yield (self.arm(setting, "two", lr=self.second_lr),)
        assert second.config.train.lr == self.second_lr
        if self.end is not None:
            raise self.end
        table = Table(name="t", title="t", columns=("a",), rows=[[worked_out + 0.5], [None]])
        return Findings(lines=("done",), tables=(table,), pictures=())

    @staticmethod
    def arm(setting: Setting, name: str, **params: Any) -> Arm:
        cell = {"architecture": setting.scale.choices.architectures[0], "preconditioning": "edm"}
        return Arm(name=name, why="a test", params={**cell, **params}, seed=setting.seed)


@pytest.mark.slow
def test_a_study_that_was_broken_off_goes_on_where_it_was(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, home = Half(), Home(tmp_path / "home")
    monkeypatch.setattr(running, "load_study", lambda name: study)
    ask = ("study", "chexpert", "half", "--scale", "smoke")

    def suggested(name: str) -> list[int]:
        return sorted(home.history(name).trials)

    study.end = KeyboardInterrupt()
    assert bench(*ask).code == 130
    study.end = BenchError("no")
    for again in (ask, ("resume", "chexpert-half-1")):
        said = bench(*again)
        assert said.code == 2
        assert said.err == "bench: error: no\n"
    assert not (home.path / "studies").exists()
    assert (suggested("chexpert-half-1"), study.worked_out) == ([0, 1], 1)

    study.second_lr, study.end = 2e-3, None
    said = bench(*ask)
    assert said.code == 2
    assert "asks for another trial 1 than when chexpert-half-1 began (two)" in said.err
    study.second_lr = 1e-3
    assert "chexpert-half-1 has no findings yet: going on" in bench(*ask).out
    assert "is complete" in bench("resume", "chexpert-half-1").out
    assert suggested("chexpert-half-1") == [0, 1]
    folder = home.path / "studies" / "chexpert-half-1"
    assert sorted(p.name for p in folder.iterdir()) == ["study.json", "t.csv"]
    text = (folder / "t.csv").read_text()
    assert text.splitlines() == ["a,data", "1.5,SIMULATED data", ",SIMULATED data"]
    client = MlflowClient(f"sqlite:///{home.path / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("chexpert")
    assert experiment is not None
    (parent,) = client.search_runs(
        [experiment.experiment_id],
        "tags.`bench.sweep` = 'chexpert-half-1' and tags.`bench.kind` = 'sweep'",
    )
    assert parent.data.tags["bench.found"] == "done"
    files = {file.path for file in client.list_artifacts(parent.info.run_id, "samples")}
    assert files == {"samples/study.json", "samples/t.csv"}
    assert not any("arms" in value for value in parent.data.tags.values())

    record = home.history("chexpert-half-1").plan.study
    assert Asked.from_record(record).record == record
    other = bench(*ask, "--seed", "1")  # another question: a sweep of its own
    assert other.code == 0
    assert (home.path / "studies" / "chexpert-half-2").is_dir()


@pytest.mark.slow
def test_the_instability_study_end_to_end(bench: Bench, tmp_path: Path) -> None:
    args = ("--scale", "smoke", "--budget", "0.1")
    said = bench("study", "chexpert", "instability", *args)

    assert said.code == 0, said.err
    folder = tmp_path / "home" / "studies" / "chexpert-instability-1"
    tables = {p.stem: list(csv.DictReader(p.open())) for p in folder.glob("*.csv")}
    assert sorted(tables) == ["arms", "cost_by_noise", "log_batches", "log_models", "series"]
    assert all(r["data"] == "SIMULATED data" for name in ("arms", "series") for r in tables[name])
    assert all("CheXpert" in row["data"] for row in tables["log_models"])
    assert [row["arm"] for row in tables["arms"]][:2] == ["as the seed", "lr / 10"]
    least = tables["cost_by_noise"][0]
    # a network of a few steps cannot find noise of SD .01; predicting none costs 1, and chi-squared
    # over 256 pixels and some 30 samples leaves a percent or two
    assert 0.9 < float(least["cost a pixel"]) < 1.2
    assert float(least["sigma"]) == pytest.approx(0.01, rel=1e-3)  # sqrt(1e-4 / (1 - 1e-4))
    check_series(tables["series"])
    with Image.open(folder / "instability.png") as picture:
        assert picture.width > 800
    body = json.loads((folder / "study.json").read_text())
    assert body["data"]["simulated"] is True
    assert body["facts"]["seed_log"]["batch"] == 6
    assert "too short for a verdict" in said.out


def check_series(rows: list[dict[str, Any]]) -> None:
    """The counts of t = 0 are those of the sigmas beside them; no pair holds it twice."""
    for row in rows:
        sigmas = [float(s) for s in row["sigmas"].split()]
        assert len(sigmas) == 6
        assert sum(s < 0.011 for s in sigmas) == int(row["samples at t = 0"]) <= 3
