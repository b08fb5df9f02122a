"""The projection off the trial's path: a thread that takes records and tells MLflow.

Nothing here blocks or fails a trial. When the store dies in the middle of a sweep that is said
once; the records wait, are tried again, and what is missing at the end is named with the command
that completes it.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable

from bench.track.fields import Record
from bench.track.mlflow_projection import Projector
from bench.track.store import Store

GATHER_SEC = 1.0  # records are gathered this long, so that one call tells several
RETRY_SEC = 30.0  # between attempts at a store that failed


class BackgroundProjector:
    """Takes a sweep's records, in order, from its first on; `put` returns at once.

    `say` is called at most once while the sweep runs (from the thread) and at its close.
    """

    def __init__(
        self,
        store: Store,
        *,
        share_real: bool = False,
        say: Callable[[str], None] = lambda line: None,
        gather_sec: float = GATHER_SEC,
        retry_sec: float = RETRY_SEC,
    ) -> None:
        self._store, self._say = store, say
        self._projector = Projector(store, share_real=share_real)
        self._gather_sec, self._retry_sec = gather_sec, retry_sec
        self._queue: queue.SimpleQueue[Record | None] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._sweep = "NAME"
        self._said = False
        self._refused = 0  # records that the projection could not make sense of
        self.problem = ""  # why the last attempt failed; empty when all is well
        self.cost_sec = 0.0  # time spent telling MLflow, on this thread
        self._thread = threading.Thread(target=self._work, name="mlflow-projection", daemon=True)
        self._thread.start()

    def put(self, record: Record) -> None:
        """Queue a record; it must not be changed afterwards."""
        if record["kind"] == "plan":
            self._sweep = str(record["sweep"])
        self._queue.put(record)

    def close(self, timeout: float = 30.0) -> bool:
        """Deliver what waits, for at most `timeout` seconds; True if MLflow now has everything."""
        self._closing.set()
        self._queue.put(None)
        self._thread.join(timeout)
        late = self._thread.is_alive()
        if late or self.problem:
            why = self.problem or f"not done within {timeout:.0f} s"
            self._say(
                f"MLflow at {self._store.shown} lacks part of this sweep ({why}); the journal has "
                f"it all: `bench sync {self._sweep}` completes it"
            )
        for note in self._projector.notes:
            self._say(note)
        return not late and not self.problem

    def _work(self) -> None:
        """Gather, tell, and after a failure wait before telling again; once more at the close."""
        next_try, closed = 0.0, False
        while not closed:
            closed = self._gather()
            if self.problem and not closed and time.monotonic() < next_try:
                continue
            start = time.monotonic()
            try:
                self._projector.project()
                self.problem = f"{self._refused} records refused" if self._refused else ""
            except Exception as error:  # whatever MLflow raises must not reach the sweep
                self._fail(error)
                next_try = time.monotonic() + self._retry_sec
            self.cost_sec += time.monotonic() - start

    def _gather(self) -> bool:
        """Take what comes in, up to `gather_sec` after the first; True when it was the last."""
        timeout = self._retry_sec if self.problem else None
        try:
            batch = [self._queue.get(timeout=timeout)]
        except queue.Empty:
            return False
        self._closing.wait(self._gather_sec)
        while not self._queue.empty():
            batch.append(self._queue.get())
        for record in batch:
            if record is not None:
                try:
                    self._projector.take(record)
                except (KeyError, TypeError, ValueError) as error:
                    self._refused += 1
                    self._fail(error)
        return None in batch

    def _fail(self, error: Exception) -> None:
        """Remember why, and say it the first time."""
        lines = str(error).strip().splitlines() or [""]
        self.problem = f"{type(error).__name__}: {lines[0][:160]}"
        if not self._said:
            self._said = True
            self._say(
                f"MLflow at {self._store.shown} does not take this sweep's records "
                f"({self.problem}); the sweep goes on and they are sent again later"
            )
