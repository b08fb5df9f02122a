"""The background thread: it delivers, it never raises, and it says once when it cannot."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from bench.track import mlflow_projection
from bench.track.background import BackgroundProjector
from bench.track.mlflow_projection import Projector
from bench.track.store import Store
from bench.track.tensorboard_files import TensorBoardFiles
from bench.track.tracker_conformance import files_below
from tests.unit.track.dump import dump
from tests.unit.track.records import journal, plan, trial_records

SMALL = [plan(), *trial_records(0, "completed"), *trial_records(1, "pruned")]


def test_it_delivers_what_the_projector_would(store: Store, projected: Store) -> None:
    said: list[str] = []
    thread = BackgroundProjector(Projector(store), say=said.append, gather_sec=0.01)
    for record in journal():
        thread.put(record)
    assert thread.close(timeout=60)
    ours, theirs = dump(store), dump(projected)
    assert ours.keys() == theirs.keys()
    assert {k: r["metrics"] for k, r in ours.items()} == {
        k: r["metrics"] for k, r in theirs.items()
    }
    assert said == []


class Flaky:
    """A writer whose store is down until `up` is set."""

    up = False

    def __init__(self, store: Store) -> None:
        if not Flaky.up:
            raise OSError("connection refused")
        self.calls: list[str] = []

    def experiment(self, name: str) -> str:
        return "1"

    def known(self, *args: object) -> dict[str, Any]:
        return {}

    def create(self, *args: object) -> str:
        return "run"

    def upload(self, *args: object, **named: object) -> list[str]:
        return []

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **named: None


def test_a_store_that_dies_is_said_once_and_tried_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mlflow_projection, "Writer", Flaky)
    Flaky.up = False
    said: list[str] = []
    thread = BackgroundProjector(Projector(store), say=said.append, gather_sec=0.0, retry_sec=0.05)
    for record in SMALL:
        thread.put(record)
    deadline = time.monotonic() + 10
    while not said and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.3)
    assert len(said) == 1
    assert "connection refused" in said[0]
    Flaky.up = True
    assert thread.close(timeout=10)
    assert len(said) == 1


def test_a_store_still_dead_at_the_end_names_the_command(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(mlflow_projection, "Writer", Flaky)
        Flaky.up = False
        said: list[str] = []
        thread = BackgroundProjector(Projector(store), say=said.append, gather_sec=0.0)
        for record in SMALL:
            thread.put(record)
        assert not thread.close(timeout=10)
        assert "`bench sync calm-otter`" in said[-1]
    Projector(store).project(SMALL)  # which is what bench sync does
    assert dump(store)["echo/000 ddpmpp-edm adam 0e-4 b32"]["status"] == "FINISHED"


def test_a_login_in_an_error_is_not_said(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(store: Store) -> None:
        raise OSError("no answer from http://me:secret@there/api?token=abcdef")

    monkeypatch.setattr(mlflow_projection, "Writer", refuse)
    said: list[str] = []
    thread = BackgroundProjector(Projector(store), say=said.append, gather_sec=0.0)
    thread.put(plan())
    assert not thread.close(timeout=10)
    assert "no answer from http://me:***@there/api?token=***" in said[-1]
    assert "secret" not in "".join(said)


def test_any_tracker_is_driven_and_the_command_names_it(tmp_path: Path) -> None:
    said: list[str] = []
    tracker = TensorBoardFiles(tmp_path / "live")
    thread = BackgroundProjector(tracker, named="tensorboard", say=said.append, gather_sec=0.01)
    for record in journal():
        thread.put(record)
    assert thread.close(timeout=60)
    TensorBoardFiles(tmp_path / "once").project(journal())
    assert files_below(tmp_path / "live") == files_below(tmp_path / "once")
    (tmp_path / "file").write_text("")
    thread = BackgroundProjector(
        TensorBoardFiles(tmp_path / "file"), named="tensorboard", say=said.append, gather_sec=0.0
    )
    thread.put(plan())
    assert not thread.close(timeout=10)
    assert "TensorBoard at" in said[-1]
    assert "`bench sync calm-otter --tracker tensorboard` completes it" in said[-1]


def test_a_hanging_store_does_not_hold_up_the_end(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = threading.Event()
    monkeypatch.setattr(Projector, "project", lambda self: answers.wait(60))
    said: list[str] = []
    thread = BackgroundProjector(Projector(store), say=said.append, gather_sec=0.0)
    for record in SMALL:
        thread.put(record)  # neither this nor the end waits: the store answers only below
    assert not thread.close(timeout=0.2)
    assert "bench sync" in said[-1]
    answers.set()


def test_a_record_that_is_none_is_refused_not_raised(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mlflow_projection, "Writer", Flaky)
    Flaky.up = True
    said: list[str] = []
    thread = BackgroundProjector(Projector(store), say=said.append, gather_sec=0.0)
    thread.put(plan())
    thread.put({"kind": "report", "trial": 99})
    assert not thread.close(timeout=10)
    assert "1 records refused" in said[-1]
