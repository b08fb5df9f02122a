"""The commands' side of trackers and homes: `bench sync`, --tracker, and names that cannot be."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bench.cli import main
from bench.config import TrialConfig
from bench.run import Report
from bench.sweep.record.home import Home
from leaderboards.measures import Measure
from tests.unit.sweep.fakes import World, finished, smooth
from tests.unit.track.event_files import scalars, texts


class Scored(World):
    """Trials that end with a score."""

    def steps(self, number: int, config: TrialConfig) -> Iterator[Report]:
        scores = {"eval/fd_formula": 5.0 + number / 3, "eval/fd_formula_se": 0.1}
        for report in super().steps(number, config):
            yield replace(report, metrics=scores) if report.phase == "end" else report


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with one whole sweep, fake-1."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    engine = finished(
        tmp_path / "home" / "sweeps",
        Scored(smooth),
        trials=3,
        score=Measure(key="fd_formula", title="fd_formula", direction="lower"),
        data={"name": "none", "digest": "0" * 16, "simulated": True},
    )
    engine.journal.close()
    return tmp_path / "home"


def bench(*args: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(list(args))
    return int(left.value.code or 0)


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    error = capsys.readouterr().err
    assert error.count("\n") == 1, error
    return error


def test_a_sweep_is_put_into_tensorboard(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    args = ("sync", "fake-1", "--home", str(home), "--tracker", "tensorboard")
    assert bench(*args) == 0
    assert "TensorBoard at" in capsys.readouterr().out
    history = Home(home).history("fake-1")
    for trial in history.trials.values():
        file = home / "tensorboard" / "fake-1" / f"{trial.number:04d}" / "events.out.tfevents"
        ((_, score),) = scalars(file)["eval/fd_formula"]
        assert score == pytest.approx(5.0 + trial.number / 3, rel=1e-6)  # float32
        assert texts(file)["outcome"] == [trial.outcome]
    assert not list(home.glob("mlflow.db*"))


def test_all_sweeps_of_a_home_and_a_damaged_one_is_named(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = ("sync", "--all", "--home", str(home), "--tracker", "tensorboard")
    assert bench(*args) == 0
    assert "sweep fake-1: TensorBoard at" in capsys.readouterr().out
    whole = (home / "sweeps" / "fake-1" / "journal.jsonl").read_bytes()
    other = home / "sweeps" / "fake-0"
    other.mkdir()
    first, second, *lines = whole.split(b"\n")
    (other / "journal.jsonl").write_bytes(b"\n".join([first, b"00000000 {}", second, *lines]))
    assert bench(*args) == 2
    said = capsys.readouterr()
    assert "sweep fake-1: TensorBoard at" in said.out
    assert "note: sweep fake-0 is left out: " in said.err
    assert "1 of 2 sweeps left out: fake-0" in said.err


def test_a_half_made_store_is_replaced_and_sync_all_fills_the_new_one(
    home: Path, schema: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.unit.track.test_local_database import half_made

    half_made(home / "mlflow.db", schema, None)
    assert bench("leaderboard", "--home", str(home), "--from", "mlflow", "echo") == 2
    first = capsys.readouterr().err
    assert "is mlflow.db.broken-1 now" in first
    assert "`bench sync --all`" in first
    assert bench("sync", "--all", "--home", str(home)) == 0
    assert "MLflow at sqlite" in capsys.readouterr().out
    assert bench("leaderboard", "--home", str(home), "--from", "mlflow", "--format", "json") == 0
    assert len(json.loads(capsys.readouterr().out)["entries"]) > 0


def test_a_tracker_of_a_users_own_is_checked_and_that_is_said(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.py").write_text(
        "from tests.unit.track.test_tracker_conformance import Lines, Appends\n"
    )
    assert bench("sync", "--home", str(home), "--tracker", "mine.py:Lines") == 0
    said = capsys.readouterr()
    assert "tracker mine.py:Lines passes 6 conformance checks" in said.err
    assert "sweep fake-1: Lines at a file has all of it" in said.out
    assert '"trial": 2' in (home / "lines.jsonl").read_text()
    assert bench("sync", "--home", str(home), "--tracker", "mine.py:Appends") == 2
    assert "breaks its contract" in one_line(capsys)


def test_a_place_that_fails_in_the_middle_is_one_line(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.py").write_text(
        "from tests.unit.track.test_tracker_conformance import Lines\n"
        "class Fails(Lines):\n"
        "    def take(self, record):\n"
        "        if record.get('sweep') == 'fake-1':\n"
        "            raise OSError('lost http://me:secret@there')\n"
        "        super().take(record)\n"
    )
    assert bench("sync", "--home", str(home), "--tracker", "mine.py:Fails") == 2
    *_, line = capsys.readouterr().err.splitlines()
    assert "did not take all of sweep fake-1 (OSError: lost http://me:***@there)" in line


@pytest.mark.parametrize(
    ("named", "reason"),
    [
        ("http://me:secret@x/y", "is a URL (http:...)"),
        ("s3://bucket/home", "is a URL (s3:...)"),
        ("file:///tmp/x", "is a URL (file:...)"),
        ("h" * 300, "File name too long"),
        ("/".join(["h" * 200] * 25), "File name too long"),
        ("~nobody-of-this-name/x", "home directory"),
        ("loop", "symlink loop"),
    ],
)
def test_a_home_that_cannot_be_is_one_line_and_leaves_nothing(
    named: str,
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("loop").symlink_to("loop")
    for args in (("list",), ("sync",), ("sweep", "echo", "--scale", "smoke"), ("ui",)):
        assert bench(*args, "--home", named) == 2
        line = one_line(capsys)
        assert reason.lower() in line.lower()
        assert "secret" not in line
        assert len(line) < 300
    assert [p.name for p in tmp_path.iterdir()] == ["loop"]


@pytest.mark.parametrize("name", ["n" * 300, "../other", "a/b", ".", "..", "/etc"])
def test_a_name_no_sweep_can_have_is_one_line(
    name: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for args in (("status", name), ("resume", name), ("sync", name), ("confirm", name)):
        assert bench(*args, "--home", str(home)) == 2
        assert "is no sweep's name" in one_line(capsys)
    assert bench("sweep", "echo", "--scale", "smoke", "--home", str(home), "--name", name) == 2
    assert "--name" in one_line(capsys)
