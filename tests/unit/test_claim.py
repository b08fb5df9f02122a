"""Only one process in a trial's folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.trial_lock import claimed

HOLDER = """
import sys, time
from pathlib import Path
from bench.trial_lock import claimed
with claimed(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def holder(folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HOLDER, str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_folder_held_elsewhere_is_refused_after_a_wait(tmp_path: Path) -> None:
    process = holder(tmp_path / "0001")
    try:
        refused = pytest.raises(BenchError, match="still runs the trial in 0001")
        with refused, claimed(tmp_path / "0001", wait_sec=0.3):
            pytest.fail("two processes in one folder")
    finally:
        process.kill()
        process.wait()


def test_it_is_free_the_moment_its_holder_is_killed(tmp_path: Path) -> None:
    process = holder(tmp_path)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    with claimed(tmp_path, wait_sec=10):
        pass


def test_it_is_free_after_the_block_and_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="inside"), claimed(tmp_path):
        raise ValueError("inside")
    with claimed(tmp_path, wait_sec=0):
        pass
