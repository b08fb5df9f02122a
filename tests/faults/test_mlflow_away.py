"""A real MLflow server that is away, slow, restarted or never there while a sweep is recorded.

Whatever it did meanwhile, the record that `bench sync` completes is that of a server left alone:
read from the database's own tables, so that nothing MLflow's client hides is missed.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bench.track.background import BackgroundProjector
from bench.track.mlflow_projection import Projector
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
    os.killpg(server.process.pid, how)  # the server and its workers


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


def made(store: Store) -> list[str]:
    """The names of all runs."""
    with closing(sqlite3.connect(store.uri.removeprefix("sqlite:///"))) as base:
        return [name for (name,) in base.execute("SELECT name FROM runs")]


def tell_a_slow_server(url: str, home: Path, database: str, answer: Any) -> None:
    """A driver of its own, whose server has to wait for its database from the plan on; answers
    seconds the close took, and what was said."""
    said: list[str] = []
    os.environ.update([IMPATIENT])
    live = BackgroundProjector(
        Projector(resolve(url, home)), say=said.append, gather_sec=0.01, retry_sec=RETRY_SEC
    )
    first, *others = journal()
    live.put(first)
    while live.cost_sec == 0:
        time.sleep(0.01)
    base = sqlite3.connect(database, isolation_level=None)
    base.execute("BEGIN EXCLUSIVE")  # until we end
    for record in others:
        live.put(record)
    while not live.problem:  # the first call makes a run, and is made twice
        time.sleep(0.01)
    begin = time.monotonic()
    done = live.close(timeout=0.5)
    answer.send((done, time.monotonic() - begin, said))


def test_calls_that_nobody_answered_leave_no_second_run(home: Path, servers: list[Server]) -> None:
    alone = undisturbed(home / "alone")
    server = started(servers, home, free_port())
    store = resolve(server.url, home)
    records = journal()
    Projector(store).project(records[:1])  # what is slow the first time
    spawn = multiprocessing.get_context("spawn")
    hear, tell = spawn.Pipe(duplex=False)
    database = server.local.uri.removeprefix("sqlite:///")
    driver = spawn.Process(target=tell_a_slow_server, args=(server.url, home, database, tell))
    driver.start()
    done, took, said = hear.recv()
    driver.join(20)
    assert driver.exitcode == 0  # it ends though a call is still unanswered
    assert not done
    assert took < 2  # given 0.5; the rest is a busy machine's
    assert "`bench sync calm-otter`" in said[-1]
    deadline = time.monotonic() + 30
    while len(made(server.local)) < 3 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert (
        len(made(server.local)) == 3
    )  # now it did what it was told: the sweep's run, a trial's twice
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
        live = BackgroundProjector(
            Projector(store), say=said.append, gather_sec=0.01, retry_sec=RETRY_SEC
        )
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
