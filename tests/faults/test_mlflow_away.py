"""A real MLflow server that is away, slow, restarted or never there while a sweep is recorded.

Whatever it did meanwhile, the record that `bench sync` completes is that of a server left alone:
read from the database's own tables, so that nothing MLflow's client hides is missed.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.track.background import BackgroundProjector
from bench.track.projection import Projector
from bench.track.store import Store, check, resolve
from tests.integration.test_mlflow import Server, free_port
from tests.unit.track.dump import dump
from tests.unit.track.records import journal

pytestmark = pytest.mark.slow

IMPATIENT = ("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")  # seconds, where a sweep waits for 20
RETRY_SEC = 0.3


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")
    check(resolve(f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path))
    return tmp_path


@pytest.fixture
def servers(home: Path) -> Iterator[list[Server]]:
    """Servers on one store, the last one alive; all are ended."""
    found: list[Server] = []
    yield found
    for server in found:
        if server.process.poll() is None:
            freeze(server, signal.SIGCONT)
        server.end()


def started(servers: list[Server], home: Path, port: int) -> Server:
    servers.append(Server(home, port))
    servers[-1].wait()
    return servers[-1]


def freeze(server: Server, how: signal.Signals = signal.SIGSTOP) -> None:
    os.killpg(server.process.pid, how)


def undisturbed(folder: Path) -> dict[str, Any]:
    """What a store holds that was there all the time."""
    folder.mkdir()
    local = resolve(f"sqlite:///{folder / 'mlflow.db'}", folder)
    check(local)
    Projector(local).project(journal())
    return dump(local)


def assert_equal(store: Store, alone: dict[str, Any]) -> None:
    ours = dump(store)  # which finds a run that is there twice
    assert ours.keys() == alone.keys()
    for name, run in alone.items():
        assert ours[name] == run, name


def slept_on(servers: list[Server], store: Store, records: list[Any]) -> tuple[float, list[str]]:
    """Told to a server that is stopped (its socket takes calls, nobody answers) and closed then:
    seconds the close took, and what was said."""
    said: list[str] = []
    freeze(servers[-1])
    live = BackgroundProjector(store, say=said.append, gather_sec=0.01, retry_sec=RETRY_SEC)
    for record in records:
        live.put(record)
    time.sleep(5.0)  # several calls go unanswered
    begin = time.monotonic()
    assert not live.close(timeout=1.0)
    return time.monotonic() - begin, said


def test_calls_that_nobody_answered_leave_no_second_run(
    home: Path, servers: list[Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = undisturbed(home / "alone")
    server = started(servers, home, free_port())
    store = resolve(server.url, home)
    records = journal()
    Projector(store).project(records[:1])  # the parent is there: the next call makes a trial's run
    with monkeypatch.context() as patch:
        patch.setenv(*IMPATIENT)
        took, said = slept_on(servers, store, records)
    assert took < 3  # a second more than it was given is the thread's own
    assert "`bench sync calm-otter`" in said[-1]
    freeze(server, signal.SIGCONT)  # and now it carries out what it had been told
    time.sleep(2)
    Projector(store).project(records)
    assert_equal(server.local, alone)


def test_restarted_and_stopped_at_random_in_mid_sweep(
    home: Path, servers: list[Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = undisturbed(home / "alone")
    port, draw, said = free_port(), random.Random(5), []
    store = resolve(f"http://127.0.0.1:{port}", home)  # never there at first
    with monkeypatch.context() as patch:
        patch.setenv(*IMPATIENT)
        live = BackgroundProjector(store, say=said.append, gather_sec=0.01, retry_sec=RETRY_SEC)
        records = journal()
        for n, record in enumerate(records):
            live.put(record)
            time.sleep(draw.random() * 0.3)
            if n == 3:
                started(servers, home, port)
            elif n in (12, 20):
                os.killpg(servers[-1].process.pid, signal.SIGKILL)
                servers[-1].process.wait()
            elif n in (15, 24):
                started(servers, home, port)
            elif n > 3 and draw.random() < 0.4 and servers[-1].process.poll() is None:
                freeze(servers[-1])
                time.sleep(draw.random() * 4.0)
                freeze(servers[-1], signal.SIGCONT)
    live.close(timeout=60)
    assert len(said) in (1, 2)  # that it is away, and at the end that something is missing
    local = servers[-1].local
    Projector(store).project(records)
    assert_equal(local, alone)
    Projector(store).project(records)  # again: nothing more
    assert_equal(local, alone)
