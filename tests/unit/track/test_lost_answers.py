"""Calls that were carried out although no answer came, and were made again: nothing is there twice.

A real store behind a client whose calls now and then fail before, fail after, or happen twice, as
those of a server that is slow do.
"""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from bench.track import writer
from bench.track.mlflow_projection import Projector
from bench.track.store import Store, client, resolve
from tests.unit.track.dump import dump
from tests.unit.track.records import journal

WAYS = ("lost before", "lost after", "made twice")
ODDS = {  # that a call goes wrong
    "create_run": 0.6,
    "log_batch": 0.15,
    "update_run": 0.15,
    "set_terminated": 0.15,
    "set_tag": 0.15,
}


class Unreliable:
    """An MLflow client; calls of ODDS go wrong now and then."""

    def __init__(self, real: Any, draw: random.Random, ways: tuple[str, ...]) -> None:
        self._real, self._draw, self._ways = real, draw, ways
        self.wrong: list[str] = []

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._real, name)
        if name not in ODDS:
            return call

        def made(*args: Any, **named: Any) -> Any:
            if self._draw.random() >= ODDS[name]:
                return call(*args, **named)
            how = self._draw.choice(self._ways)
            self.wrong.append(f"{name} {how}")
            if how != "lost before":
                call(*args, **named)
            if how == "made twice":
                return call(*args, **named)
            raise OSError(f"no answer to {name}")

        return made


@pytest.mark.parametrize("ways", [WAYS, WAYS[1:], WAYS[2:]])
def test_one_run_each_whatever_went_unanswered(
    store: Store,
    schema: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ways: tuple[str, ...],
) -> None:
    draw, records = random.Random(len(ways)), journal()
    shutil.copyfile(schema, tmp_path / "alone.db")
    alone = resolve(f"sqlite:///{tmp_path / 'alone.db'}", tmp_path)
    Projector(alone).project(records)
    slow = Unreliable(client(store), draw, ways)
    monkeypatch.setattr(writer, "client", lambda store: slow)
    live, told = Projector(store), 0
    for _ in range(300):
        more = records[told : told + draw.randint(1, 4)]
        told += len(more)
        if draw.random() < 0.1:  # the driver was lost, too
            live, more = Projector(store), records[:told]
        try:
            live.project(more)
        except OSError:
            continue
        if told == len(records):
            break
    else:
        pytest.fail("it never got through")
    assert dump(store) == dump(alone)  # which finds a run that is there twice
    assert {f"create_run {way}" for way in ways[-2:]} <= set(slow.wrong)
    assert len(slow.wrong) >= 10
    monkeypatch.setattr(writer, "client", client)
    Projector(store).project(records)  # what bench sync does
    assert dump(store) == dump(alone)
