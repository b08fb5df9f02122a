"""Journals that a test leaves open are closed behind it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bench.sweep.journal import Journal


@pytest.fixture(scope="module", autouse=True)
def closed_journals() -> Iterator[None]:
    opened: list[Journal] = []
    make = Journal.__init__

    def remember(self: Journal, *args: object, **named: object) -> None:
        make(self, *args, **named)  # type: ignore[arg-type]  # handed on as they came
        opened.append(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Journal, "__init__", remember)
        yield
    for journal in opened:
        journal.close()
