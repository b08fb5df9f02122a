"""`bench study`: names, mistakes in one line, findings whole or absent, and one run end to end."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
from PIL import Image

from bench.cli import main
from bench.errors import BenchError
from bench.studies import running
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
    assert "no study of echo" in bench("study", "echo").out


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
        (("chexpert", "instability", "--data", "/nowhere"), "/nowhere"),
        (("chexpert", "nosuch.py:STUDY"), "nosuch.py does not exist"),
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
    """Asks for one trial and then breaks off as it is told to."""

    name: ClassVar[str] = "half"
    title: ClassVar[str] = "does anything stay?"
    workloads: ClassVar[frozenset[str]] = frozenset({"chexpert"})

    def __init__(self, end: BaseException | None) -> None:
        self.end = end

    def budget(self, scale: Scale) -> Equal:
        return Equal(kind="nimg", amount=0.1)

    def answer(self, setting: Setting) -> Answer:
        cell = {"architecture": setting.scale.choices.architectures[0], "preconditioning": "edm"}
        (ran,) = yield (Arm(name="one", why="a test", params=cell, seed=setting.seed),)
        assert ran.outcome == "completed"
        assert ran.config.train.budget_nimg == 96  # .1 kimg in whole batches of 8
        assert ran.log() is not None
        if self.end is not None:
            raise self.end
        table = Table(name="t", title="t", columns=("a",), rows=[[1.5], [None]])
        return Findings(lines=("done",), tables=(table,), pictures=())


def half(end: BaseException | None, monkeypatch: pytest.MonkeyPatch) -> running.Asked:
    monkeypatch.setattr(running, "load_study", lambda name: Half(end))
    return running.Asked(workload="chexpert", study="instability", scale="smoke")


@pytest.mark.slow
def test_what_is_broken_off_leaves_nothing_and_what_ends_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, studies = Home(tmp_path), tmp_path / "studies"
    for end in (KeyboardInterrupt(), BenchError("no")):
        with pytest.raises(type(end)):
            running.run(half(end, monkeypatch), home, lambda line: None)
        assert list(studies.iterdir()) == []
    (studies / f"{running.DRAFT}0").mkdir()  # of a process that is no more; 0 is our own group
    (studies / f"{running.DRAFT}4194305").mkdir()  # above the largest process number there is

    folders = [
        running.run(half(None, monkeypatch), home, lambda line: None)[0].name for _ in range(2)
    ]

    assert folders == ["chexpert-half-1", "chexpert-half-2"]
    assert not (studies / f"{running.DRAFT}4194305").exists()
    assert sorted(p.name for p in (studies / folders[0]).iterdir()) == ["study.json", "t.csv"]
    text = (studies / folders[0] / "t.csv").read_text()
    assert text.splitlines() == ["a,data", "1.5,SIMULATED data", ",SIMULATED data"]


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
