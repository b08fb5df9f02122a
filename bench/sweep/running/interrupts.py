"""Ctrl-C and SIGTERM in a sweep's driver: raised between two facts, never in the middle of one.

A signal's handler runs wherever Python happens to be, most likely right after the fsync of a
record: raised there, the journal would hold what memory does not. So the engine holds signals
back while it takes a fact, and they are raised when it is whole.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)
DEAF_SEC = 15.0  # after the first signal: an impatient second one must not break the clean stop


class Interrupts:
    """Only the main thread handles and holds; any thread may read `seen`."""

    def __init__(self) -> None:
        self.seen = False
        self._since = 0.0
        self._held = 0
        self._pending = False

    @contextmanager
    def handled(self) -> Iterator[None]:
        """SIGINT and SIGTERM (a scheduler's warning) raise KeyboardInterrupt in the block."""
        before = {s: signal.getsignal(s) for s in SIGNALS}
        self.install()
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def install(self) -> None:
        """Put our handlers in place, again after a library (Ray, as it starts) put its own."""
        for number in SIGNALS:
            signal.signal(number, self._on_signal)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Nothing is raised inside the block; at its end what came in is."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1
            if self._pending and not self._held:
                self._pending = False
                raise KeyboardInterrupt

    def _on_signal(self, number: int, frame: Any) -> None:
        now = time.monotonic()
        if self.seen and now - self._since < DEAF_SEC:
            return
        self.seen, self._since = True, now
        if self._held:
            self._pending = True
        else:
            raise KeyboardInterrupt
