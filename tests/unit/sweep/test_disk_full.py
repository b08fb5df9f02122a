"""A disk that fills up while a sweep runs: the sweep stops, nothing is booked as failed."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from safetensors import SafetensorError

from bench.errors import BenchError
from bench.run import DISK_FULL, _verdict
from tests.unit.sweep.fakes import World, drive, end, open_engine, plan, smooth


def test_a_full_disk_stops_the_sweep_and_the_trial_waits(tmp_path: Path) -> None:
    engine = open_engine(tmp_path, plan(trials=3, prune=False))
    trial = engine.next()
    assert trial is not None
    engine.started(trial.number, "here", 1)
    with pytest.raises(BenchError, match=r"the disk is full.*bench resume fake-1"):
        engine.reported(trial.number, end(8, "interrupted", DISK_FULL))
    assert engine.next() is None
    engine.journal.close()
    again = open_engine(tmp_path)
    assert drive(again, World(smooth))[0] == trial.number
    assert again.history.counts() == {"completed": 3}


@pytest.mark.parametrize(
    "cause",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)),
        SafetensorError(f"I/O error: {os.strerror(errno.ENOSPC)} (os error 28)"),
    ],
)
def test_a_full_disk_is_known_however_it_is_said(cause: Exception, tmp_path: Path) -> None:
    error = BenchError("cannot write checkpoint")
    error.__cause__ = cause
    assert _verdict(error, tmp_path) == ("interrupted", DISK_FULL)
    assert _verdict(OSError(errno.EACCES, "no"), tmp_path)[0] == "failed"
