"""Carries an error of ours out of Tune, which would book it to a trial and go on."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class Guard:
    """Calls into the engine; after the first error it calls no more and keeps it for the driver."""

    def __init__(self) -> None:
        self.error: Exception | None = None

    @property
    def failed(self) -> bool:
        return self.error is not None

    def __call__(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R | None:
        if self.error is not None:
            return None
        try:
            return call(*args, **kwargs)
        except Exception as error:  # kept whole and raised by the driver once Tune has stopped
            self.error = error
            return None
