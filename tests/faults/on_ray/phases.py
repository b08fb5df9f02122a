"""What every process of a sweep is doing right now, for somebody who wants to kill it there.

Each thread writes one word into a file named by its process and itself; the wrappers are put
around the program's own functions here and nowhere else.
"""

from __future__ import annotations

import functools
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FOLDER = "BENCH_PHASES"  # an environment variable: workers inherit it from the driver
WIDTH = 16
STRETCH_SEC = 0.02  # before and after a marked call, still in its phase: short ones are hit, too
_thread = threading.local()  # of each thread: its file and the phases it is in


def _say() -> None:
    if not hasattr(_thread, "file"):
        name = f"{os.getpid()}-{threading.get_ident()}"
        _thread.file = os.open(Path(os.environ[FOLDER]) / name, os.O_RDWR | os.O_CREAT)
    word = _thread.stack[-1] if _thread.stack else ""
    os.pwrite(_thread.file, word.ljust(WIDTH).encode(), 0)


@contextmanager
def phase(name: str) -> Iterator[None]:
    """The innermost phase is the one that counts."""
    if not hasattr(_thread, "stack"):
        _thread.stack = []
    _thread.stack.append(name)
    _say()
    try:
        yield
    finally:
        _thread.stack.pop()
        _say()


def mark(owner: Any, attribute: str, name: str) -> None:
    """Wrap a function of the program so that it says its phase; once a process."""
    before: Callable[..., Any] = getattr(owner, attribute)
    if hasattr(before, "marked"):
        return

    @functools.wraps(before)
    def marked(*args: Any, **extra: Any) -> Any:
        with phase(name):
            time.sleep(STRETCH_SEC)
            result = before(*args, **extra)
            time.sleep(STRETCH_SEC)
            return result

    marked.marked = True  # type: ignore[attr-defined]  # a note to ourselves
    setattr(owner, attribute, marked)


def now(folder: Path) -> list[tuple[int, str]]:
    """Every (pid, phase) of a process that lives."""
    found = []
    for path in folder.iterdir():
        pid = int(path.name.partition("-")[0])
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            path.unlink(missing_ok=True)
            continue
        word = path.read_text().strip()
        if word:
            found.append((pid, word))
    return found


def mark_trial() -> None:
    """Phases of a trial's process."""
    from bench.tasks.generate import GenerateTask
    from bench.train import checkpoint
    from bench.train.loop import Training

    mark(Training, "advance", "train")
    mark(checkpoint, "write", "checkpoint")
    mark(GenerateTask, "evaluate", "measure")


def mark_driver() -> None:
    """Phases of the driver."""
    from bench.sweep.deciding import suggest
    from bench.sweep.record.journal import Journal
    from bench.track.mlflow_projection import Projector

    mark(suggest, "suggest", "suggest")
    mark(Journal, "append", "journal")
    mark(Projector, "project", "sync")


def steps(config: Any, folder: Path) -> Iterator[Any]:
    """bench.run.steps, in a process that says what it does."""
    from bench import run

    mark_trial()
    yield from run.steps(config, folder)
