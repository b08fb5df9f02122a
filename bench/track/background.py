"""The projection off the trial's path: a thread that takes records and drives a tracker.

Nothing here blocks or fails a trial. When the tracker's place dies in the middle of a sweep that
is said once; the records wait, are tried again, and what is missing at the end is named with the
command that completes it.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable

from bench.track import DEFAULT
from bench.track.fields import Record
from bench.track.tracker import Tracker
from bench.track.tracking_uri import one_line

GATHER_SEC = 1.0  # records are gathered this long, so that one call writes several
RETRY_SEC = 30.0  # between attempts at a place that failed


class BackgroundProjector:
    """Takes a sweep's records, in order, from its first on; `put` returns at once.

    The tracker is the thread's until `close`. `named` is what --tracker calls it. `say` is called
    at most once while the sweep runs (from the thread) and at its close.
    """

    def __init__(
        self,
        tracker: Tracker,
        *,
        named: str = DEFAULT,
        say: Callable[[str], None] = lambda line: None,
        gather_sec: float = GATHER_SEC,
        retry_sec: float = RETRY_SEC,
    ) -> None:
        self._tracker, self._say = tracker, say
        self._where = f"{tracker.title} at {tracker.place}"
        self._option = "" if named == DEFAULT else f" --tracker {named}"
        self._gather_sec, self._retry_sec = gather_sec, retry_sec
        self._queue: queue.SimpleQueue[Record | None] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._sweep = "NAME"
        self._warned = False
        self._refused = 0  # records that the projection could not make sense of
        self.problem = ""  # why the last attempt failed; empty when all is well
        self.cost_sec = 0.0  # time spent writing, on this thread
        self._thread = threading.Thread(target=self._work, name="projection", daemon=True)
        self._thread.start()

    def put(self, record: Record) -> None:
        """Queue a record; it must not be changed afterwards."""
        if record["kind"] == "plan":
            self._sweep = str(record["sweep"])
        self._queue.put(record)

    def close(self, timeout: float = 30.0) -> bool:
        """Deliver what waits, for at most `timeout` seconds; True if all is written."""
        self._closing.set()
        self._queue.put(None)
        self._thread.join(timeout)
        late = self._thread.is_alive()
        if not late:
            self._tracker.close()
        if late or self.problem:
            why = self.problem or f"not done within {timeout:.0f} s"
            self._say(
                f"{self._where} lacks part of this sweep ({why}); the journal has it all: "
                f"`bench sync {self._sweep}{self._option}` completes it"
            )
        for note in self._tracker.notes:
            self._say(note)
        return not late and not self.problem

    def _work(self) -> None:
        """Gather, write, and after a failure wait before the next try; once more at the close."""
        next_try, closed = 0.0, False
        while not closed:
            closed = self._gather()
            if self.problem and not closed and time.monotonic() < next_try:
                continue
            start = time.monotonic()
            try:
                self._tracker.project()
                self.problem = f"{self._refused} records refused" if self._refused else ""
            except Exception as error:  # whatever the place raises must not reach the sweep
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
                    self._tracker.take(record)
                except (KeyError, TypeError, ValueError) as error:
                    self._refused += 1
                    self._fail(error)
        return None in batch

    def _fail(self, error: Exception) -> None:
        """Remember why, and say it the first time."""
        self.problem = f"{type(error).__name__}: {one_line(error)}"
        if not self._warned:
            self._warned = True
            self._say(
                f"{self._where} does not take this sweep's records ({self.problem}); the sweep "
                f"goes on and they are sent again later"
            )
