"""Fixtures of the tests of the command line: the command in this process, and homes for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.cli import main
from tests.unit.command_line import Bench, Said


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


@pytest.fixture
def bench(home: Path, capsys: pytest.CaptureFixture[str]) -> Bench:
    """The command in this process."""

    def run(*args: str) -> Said:
        with pytest.raises(SystemExit) as left:
            main(list(args))
        said = capsys.readouterr()
        return Said(int(left.value.code or 0), said.out, said.err)

    return run


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smoke scale's simulated data, drawn once."""
    from bench.workloads.workload import load

    folder = tmp_path_factory.mktemp("drawn")
    job = load("echo")
    job.open_data(None, job.scale("smoke"), folder, {})
    return folder / "cache"


@pytest.fixture
def with_data(home: Path, drawn: Path) -> Path:
    """A home that has the simulated data already."""
    home.mkdir()
    (home / "cache").symlink_to(drawn)
    return home


@pytest.fixture
def no_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the seconds of creating an MLflow store: not what these tests are about."""
    monkeypatch.setattr("bench.track.store.check", lambda store: [])
