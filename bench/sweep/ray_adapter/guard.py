"""Between Tune and the engine: carries an error of ours out of Tune, which would book it to a trial
and go on, and keeps the engine out of Tune's snapshots, which are not our record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from bench.sweep.record.trial import Trial
from bench.sweep.running.engine import Engine

MISSES = 5  # nodes may leave while a process starts; one that always dies there is broken

P = ParamSpec("P")
R = TypeVar("R")


class Guard:
    """Holds the engine in the driver. After the first error it calls no more and keeps it."""

    def __init__(self, engine: Engine | None = None) -> None:
        self._engine = engine
        self.error: Exception | None = None
        self.pids: dict[int, int] = {}  # of the trials that have started: Tune's word is not a fact
        self._unplaced: list[int] = []
        self._misses: Counter[int] = Counter()  # processes that a trial lost before it ran

    @property
    def engine(self) -> Engine:
        if self._engine is None:
            raise AssertionError("the engine lives in the driver alone")
        return self._engine

    @property
    def over(self) -> bool:
        """Nothing more is to be run: an error, a stop, or no trials left."""
        return self.error is not None or self.engine.exhausted

    def next(self) -> Trial | None:
        """What to run: first what the engine gave us that found no place, then what it says."""
        if self._unplaced:
            return self.engine.history.trials[self._unplaced.pop(0)]
        return self(self.engine.next)

    def lost(self, number: int, cause: str) -> None:
        """A trial's process is gone; one that never ran is placed again, MISSES times."""
        if self.pids.pop(number, None) is not None:
            self._misses.pop(number, None)
            self(self.engine.lost, number, cause)
            return
        self._misses[number] += 1
        if self._misses[number] < MISSES:
            self._unplaced.append(number)
        else:
            giving_up = f"lost {MISSES} times before it could start: {cause}"
            self(self.engine.never_started, number, giving_up)

    def __call__(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R | None:
        if self.error is not None:
            return None
        try:
            return call(*args, **kwargs)
        except Exception as error:  # kept whole and raised by the driver once Tune has stopped
            self.error = error
            return None

    def __reduce__(self) -> tuple[Any, tuple[()]]:
        return Guard, ()
