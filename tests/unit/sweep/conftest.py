"""Journals that a test leaves open are closed behind it; no test here waits for a disk."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from bench.sweep.record.journal import Journal


@pytest.fixture(scope="module", autouse=True)
def closed_journals() -> Iterator[None]:
    opened: list[Journal] = []
    make = Journal.__init__

    def remember(self: Journal, *args: object, **named: object) -> None:
        make(self, *args, **named)  # type: ignore[arg-type]  # handed on as they came
        opened.append(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Journal, "__init__", remember)
        # Drivers die here in name only, so nothing need reach the disk; where syncing itself is
        # tested, the test puts its own in this one's place.
        patch.setattr(os, "fsync", lambda handle: None)
        yield
    for journal in opened:
        journal.close()
