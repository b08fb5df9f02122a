"""A sample of the bad invocations; the thousands are run by hand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.faults.bad_input.__main__ import run_all
from tests.faults.bad_input.invocations import Invocation
from tests.faults.bad_input.verdict import End, faults


@pytest.mark.slow
def test_bad_input_ends_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    failures = run_all(150, 0, tmp_path)
    assert failures == 0, capsys.readouterr().out


@pytest.mark.parametrize(
    ("end", "fault"),
    [
        (End(0, ""), None),
        (End(2, "bench list: error: no\n"), None),
        (End(2, "note: x\nbench: error: no\n"), None),
        (End(1, "bench: error: no\n"), "exit code 1"),
        (End(2, ""), "0 error lines"),
        (End(2, "bench: error: no\nmore\n"), "1 error lines"),
        (End(2, "bench: error: no\nbench: error: no\n"), "2 error lines"),
        (End(0, "bench: error: no\n"), "exit code 0 with an error"),
        (End(2, "Traceback (most\nbench: error: no\n"), "traceback"),
        (End(0, "", trace="KeyError"), "an exception: KeyError"),
        (End(0, "", "the login is hunter2secret"), "secret"),
        (End(0, "", hung=True), "still running"),
    ],
)
def test_the_verdict_notices(tmp_path: Path, end: End, fault: str | None) -> None:
    wrong = faults(end, Invocation(args=["list"]), tmp_path)
    assert (not wrong) if fault is None else re.search(fault, " ".join(wrong))


def test_the_verdict_notices_a_file_in_the_working_folder(tmp_path: Path) -> None:
    (tmp_path / "sqlite:").mkdir()
    assert "sqlite:" in faults(End(0, ""), Invocation(args=[], home="sqlite://x"[:0]), tmp_path)[0]
    assert faults(End(0, ""), Invocation(args=[], home="sqlite:/x"), tmp_path) == []
