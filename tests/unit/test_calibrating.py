"""`bench calibrate` on sweeps that are there: what it says and stores, what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench.cli import main
from tests.unit.sweep.fakes import World, finished, smooth


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BENCH_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def swept(home: Path, *, end: bool = True, **changes: Any) -> None:
    """Sweep fake-1, unpruned, where the command looks for it."""
    more = {"scale_digest": "0123", "protocol_digest": "ab" * 8}
    engine = finished(
        home / "sweeps", World(smooth), **{"trials": 12, "prune": False, **more, **changes}
    )
    if end:
        engine.write("end", summary={})
    engine.journal.close()


def run(*args: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(["calibrate", *args])
    return int(left.value.code or 0)


def test_a_finished_sweep_is_measured_and_kept(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    swept(home)
    assert run("echo", "--from", "fake-1") == 0
    out = capsys.readouterr().out
    assert "12 trials of echo at smoke scale, SIMULATED data" in out
    assert "25%  Spearman 1.00 (1.00 to 1.00), Kendall 1.00 (1.00 to 1.00): keep 25% of" in out
    body = json.loads((home / "calibration" / f"echo-smoke-echo-{'ab' * 4}.json").read_text())
    assert (body["sweep"], body["trials"]) == ("fake-1", 12)


@pytest.mark.parametrize(
    ("changes", "args", "said"),
    [
        ({"prune": True, "trials": 30}, ("echo", "--from", "fake-1"), "pruned trials"),
        ({"end": False}, ("echo", "--from", "fake-1"), "not complete; bench resume fake-1 first"),
        ({}, ("birds", "--from", "fake-1"), "one of echo, not of birds"),
        ({}, ("echo", "--from", "fake-1", "--scale", "smoke"), "leave out --scale"),
        ({}, ("echo", "--from", "fake-1", "--dry-run"), "leave out --dry-run"),
        ({}, ("echo", "--trials", "4"), "--trials 4: a calibration needs 8"),
    ],
)
def test_what_it_refuses(
    home: Path,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, Any],
    args: tuple[str, ...],
    said: str,
) -> None:
    swept(home, **changes)
    assert run(*args) == 2
    assert said in capsys.readouterr().err
    assert not (home / "calibration").exists()
