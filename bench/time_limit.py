"""A limit to the time that a user's own code may take."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class EndlessError(BaseException):
    """A block ran longer than it may. No Exception: the block must not take it for its own."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raises EndlessError in the block after so many seconds, or when a limit around it is reached.

    By the alarm signal and not as Ctrl-C, which the engine holds back while it takes a fact. Only
    the main thread hears signals: elsewhere the block runs without a limit.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: Any) -> None:
        raise EndlessError

    begun, left = time.monotonic(), signal.getitimer(signal.ITIMER_REAL)[0]
    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, min(seconds, left) if left else seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL if before is None else before)
        if left:
            remaining = left - (time.monotonic() - begun)
            signal.setitimer(signal.ITIMER_REAL, max(remaining, 1e-3))
