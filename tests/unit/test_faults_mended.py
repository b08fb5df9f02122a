"""Faults that real use found, each once mended: the output's end, users' code, damaged records."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench import doors
from bench.cli import main
from bench.errors import BenchError
from bench.sweep.record import journal
from bench.sweep.record.history import History
from bench.sweep.record.home import Home
from bench.track.tracking_uri import without_secrets
from bench.workloads import workload as workloads
from tests.unit.sweep import written
from tests.unit.sweep.fakes import World, finished, smooth

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good sweep, and one whose journal is a folder."""
    home = tmp_path_factory.mktemp("[bold]home")
    finished(Home(home).sweeps, World(smooth), trials=2).journal.close()
    (home / "sweeps" / "broken-1" / "journal.jsonl").mkdir(parents=True)
    return home


def bench(home: Path, *args: str, **settings: Any) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **settings.pop("env", {})}
    return subprocess.run(
        [sys.executable, "-m", "bench", *args, "--home", str(home)],
        **{"stdout": subprocess.PIPE, "cwd": home, **settings},
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


@pytest.mark.parametrize("args", [("list",), ("status", "fake-1"), ("leaderboard", "--help")])
def test_a_full_disk_on_stdout_is_one_line(home: Path, args: tuple[str, ...]) -> None:
    with open("/dev/full", "w") as full:
        done = bench(home, *args, stdout=full)
    assert done.returncode == 2
    assert done.stderr == "bench: error: while reading or writing: No space left on device\n"


def test_an_ascii_terminal_gets_what_it_can_show(home: Path, tmp_path: Path) -> None:
    odd = tmp_path / "häß"
    done = bench(odd, "list", cwd=tmp_path, env={"PYTHONIOENCODING": "ascii", "LC_ALL": "C"})
    assert (done.returncode, done.stderr) == (0, "")
    assert "h\\xe4\\xdf" in done.stdout


def test_list_has_a_row_for_a_broken_sweep(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["list", "--home", str(home)])
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert left.value.code == 0
    assert "unreadable" in lines["broken-1"]
    assert "2/2" in lines["fake-1"]


@pytest.mark.parametrize(
    ("args", "part"),
    [
        (("leaderboard", "--top", "-1"), "--top must be 0"),
        (("status", ""), "is no sweep's name"),
        (("status", ".."), "is no sweep's name"),
        (("show", "loss-log", "a\0b"), "zero byte"),
        (("data", ""), "names no path"),
        (("data", "http://u:hunter2@x/y?token=hunter2"), "no such data"),
        (("sweep", "echo", "--dry-run", "--scale", ""), "unknown scale"),
        (("sweep", "echo", "--dry-run", "--wall-clock", f"{10**30}s"), "longer than ten years"),
    ],
    ids=str,
)
def test_a_bad_value_is_one_line(
    home: Path, capsys: pytest.CaptureFixture[str], args: tuple[str, ...], part: str
) -> None:
    with pytest.raises(SystemExit) as left:
        main([*args] if args[1] == "loss-log" else [*args, "--home", str(home)])
    err = capsys.readouterr().err
    assert left.value.code == 2
    assert err.count("\n") == 1
    assert part in err
    assert "hunter2" not in err


def test_an_interrupt_is_130(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Home, "names", interrupt)
    with pytest.raises(SystemExit) as left:
        main(["list", "--home", str(home)])
    assert left.value.code == 130
    assert capsys.readouterr().err.strip() == "bench: error: stopped"


def test_a_secret_survives_no_slash() -> None:
    assert "s3cret" not in without_secrets("no such folder: http:/u:s3cret@x/y?token=s3cret")


def test_a_file_that_never_ends_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doors, "IMPORT_SEC", 0.2)
    file = tmp_path / "forever.py"
    file.write_text("while True: pass")
    with pytest.raises(BenchError, match=r"forever.py cannot be imported: it does not come to an"):
        doors.from_file(file, "backbone")


@pytest.mark.parametrize(
    ("body", "part"),
    [
        ("while True: pass", "breaks its contract: it does not come to an end"),
        ("raise SystemExit", "breaks its contract: SystemExit"),
        ("raise KeyError('x')", "breaks its contract: KeyError"),
        ("raise ValueError('seven')", "breaks its contract: seven"),
    ],
)
def test_a_part_that_fails_its_checks_is_to_blame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, part: str
) -> None:
    monkeypatch.setattr(doors, "CHECK_SEC", 0.2)
    (tmp_path / "mine.py").write_text(f"def build():\n    {body}\n")
    (tmp_path / "suite.py").write_text("def check(part, name):\n    part()\n    return 1\n")
    family = doors.Family(kind="part", table={}, suite=f"{tmp_path}/suite.py:check")
    with pytest.raises(BenchError, match=part):
        family.load(f"{tmp_path}/mine.py:build")


def test_a_file_that_holds_no_workload(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("")
    with pytest.raises(BenchError, match="is no workload; give the name"):
        workloads.load(f"{tmp_path}/mine.py")


@pytest.mark.parametrize(
    ("where", "value", "part"),
    [
        (("data", "simulated"), None, "plan.data.simulated must be"),
        (("protocol", "direction"), "up", "plan.protocol.direction is not the score's"),
        (("rungs",), [1.0, 0.5], "plan.rungs must be positive and rise"),
        (("keep",), [0.5, 0.5], "plan.keep"),
        (("confirm",), [{}], "plan.confirm.number is missing"),
    ],
    ids=str,
)
def test_a_plan_that_lacks_what_readers_need(where: tuple[str, ...], value: Any, part: str) -> None:
    record = written.plan_record()
    assert History([record]).plan.rungs == (0.5, 1.0)
    inner = record
    for key in where[:-1]:
        inner[key] = dict(inner[key])
        inner = inner[key]
    inner[where[-1]] = value
    with pytest.raises(BenchError, match=part):
        History([record])


@pytest.mark.parametrize(
    ("record", "part"),
    [
        ({**written.suggest(0), "config": {}}, "config.train must be a mapping"),
        ({**written.suggest(0), "cost": {"parameters": None, "forward_flops": 1}}, "cost.par"),
        (written.report(0, 8, 7), "rung 7 is none of the 2 planned"),
    ],
    ids=("config", "cost", "rung"),
)
def test_a_record_that_lacks_what_readers_need(record: dict[str, Any], part: str) -> None:
    history = History([written.plan_record(), written.suggest(0)])
    with pytest.raises(BenchError, match=part):
        history.apply(record)


def test_a_fifo_in_place_of_the_lock_does_not_hang(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    os.mkfifo(path.with_suffix(".lock"))
    assert not journal.is_held(path)
    with pytest.raises(BenchError, match="is no lock"):
        journal.Journal(path)
