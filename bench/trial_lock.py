"""One process at a time in a trial's folder.

The actor of a driver that was killed may train on for a moment while the sweep is taken up again
elsewhere; both writing, one would delete the other's half-written checkpoint. So whoever runs a
trial holds a lock on its folder, which the system takes back the moment the process dies.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.errors import BenchError


class Held(BenchError):
    """Another process holds the folder and does not end."""


WAIT_SEC = 120.0  # Ray ends the actors of a lost driver well within it
ASK_SEC = 0.2


@contextmanager
def claimed(folder: Path, wait_sec: float = WAIT_SEC) -> Iterator[None]:
    """Hold a trial's folder while the block runs; waits for a process that still holds it.

    Raises:
        Held: it is held for longer than `wait_sec`.
        BenchError: the folder cannot be written.
    """
    path = folder / ".claim"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise BenchError(f"cannot write in {folder.name}: {error.strerror}") from error
    try:
        _take(handle, folder, time.monotonic() + wait_sec)
        yield
    finally:
        os.close(handle)


def _take(handle: int, folder: Path, until: float) -> None:
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            if time.monotonic() > until:
                raise Held(
                    f"another process still runs the trial in {folder.name}; end it, then resume"
                ) from error
            time.sleep(ASK_SEC)
