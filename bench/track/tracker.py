"""What a tracker is: a projection of a sweep's journal, rebuilt from it at any time (contract 5).

A tracker comes from an opener of this module's `Opener`, by its name in `bench.track.TRACKERS` or
from a user's own "file.py:attr"; `bench.track.tracker_conformance` holds it to what stands here.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from bench.track.fields import Record


class Tracker(Protocol):
    """Records one sweep in one place. Not thread-safe: one owner at a time, which may be a thread.

    Given the same records in the same order, the same is there in the end: however often they are
    given, in however many pieces, by however many trackers after one another. So times and names
    come from the records, never from the clock or the machine; a record's own text is written
    without the paths in it, and pictures of real images only where `share_real` was given
    (contract 12).

    Records are those of a journal in its order from its first on (`bench.sweep.record.publishing`):
    plan, extend, suggest, start, report, outcome (with the trial's `row`, once it has one, and
    `artifacts`: path, name, real), tuned (after a trial's outcome: `metrics`, and a row and
    artifacts again), found (what a study found: `lines`, `artifacts`), end. Other kinds are passed
    over.
    """

    @property
    def title(self) -> str:
        """What messages call it: 'MLflow'."""

    @property
    def place(self) -> str:
        """Where it writes, without a password."""

    @property
    def notes(self) -> list[str]:
        """What was left out, each once, to be said at the end."""

    def check(self) -> list[str]:
        """Find out, before a sweep begins, whether it can be written; lines to say.

        Raises BenchError, within seconds, when it cannot.
        """

    def take(self, record: Record) -> None:
        """Take one record in and write nothing yet. It is not changed, by neither side.

        Raises KeyError, TypeError or ValueError when it is no record of this sweep.
        """

    def project(self, records: Iterable[Record] = ()) -> None:
        """Take these in, and write all that is not written yet.

        Raises whatever the place raises; what was not written is kept for the next call.
        """

    def close(self) -> None:
        """Let go of the place. Nothing is written here that `project` has not written."""


class Opener(Protocol):
    """Opens a tracker of one sweep. Nothing is written yet."""

    def __call__(self, home: Path, uri: str | None, share_real: bool) -> Tracker:
        """Without a `uri` the tracker writes below `home` and nowhere else.

        Raises BenchError for a URI that it does not understand, or a package that is not there.
        """
