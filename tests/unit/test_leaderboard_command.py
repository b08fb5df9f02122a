"""`bench leaderboard`: what it refuses, in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.cli import main
from bench.sweep.record.journal import Journal
from tests.unit.sweep.fakes import World, drive, open_engine, plan


def begin(home: Path, name: str, workload: str) -> None:
    """A sweep of two trials, both of which fail."""
    journal = Journal(home / "sweeps" / name / "journal.jsonl")
    engine = open_engine(home, plan(sweep=name, workload=workload, trials=2), journal=journal)
    drive(engine, World(lambda config, rung: "failed"))
    journal.close()


def leaderboard(home: Path, *args: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(["leaderboard", *args, "--home", str(home)])
    return int(left.value.code or 0)


def test_a_sweep_of_another_workload_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begin(tmp_path, "cc", "chexpert")
    assert leaderboard(tmp_path, "birds", "--sweep", "cc") == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.strip() == (
        "bench: error: sweep cc is of chexpert, not of birds; `bench leaderboard --sweep cc` "
        "shows it"
    )
    assert leaderboard(tmp_path, "chexpert", "--sweep", "cc") == 0


def test_that_the_newest_of_several_sweeps_is_shown_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, workload in (("cc", "chexpert"), ("bb", "birds"), ("dd", "chexpert")):
        begin(tmp_path, name, workload)
    assert leaderboard(tmp_path, "chexpert", "--format", "json") == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["entries"][0]["seeds"][0]["sweep"] == "dd"
    line = "note: dd is the newest of 2 sweeps of chexpert; --sweep NAME shows another"
    assert shown.err.strip() == line
    for args in (("birds",), ("chexpert", "--sweep", "cc")):
        assert leaderboard(tmp_path, *args) == 0
        assert "newest" not in capsys.readouterr().err


@pytest.mark.parametrize("top", ["-1", "-15"])
def test_fewer_than_no_entries_are_refused(
    top: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(["leaderboard", "--top", top, "--home", str(tmp_path)])
    assert left.value.code == 2
    shown = capsys.readouterr()
    assert shown.err.strip() == f"bench: error: --top must be 0 (all entries) or more, got {top}"
    assert shown.out == ""
