"""A real MLflow server on the loopback address: projected, read back, shown, and taken away."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.sweep.record import journal as journal_file
from bench.sweep.record.history import History
from bench.track import read, ui
from bench.track.background import BackgroundProjector
from bench.track.mlflow_projection import Projector
from bench.track.store import Store, check, client, resolve
from leaderboards.board import build
from leaderboards.facts import facts_of
from leaderboards.text import to_json
from tests.fakes.smoke_workloads import SmokeWorkload, by_turns
from tests.integration.test_sweep import bench
from tests.unit.track.records import final_rows, journal, plan, trial_records

pytestmark = pytest.mark.slow


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """`bench ui`'s own command on a local store, ended by its process group's id."""

    def __init__(self, home: Path, port: int) -> None:
        self.local = resolve(f"sqlite:///{home / 'mlflow.db'}", home)
        self.url = ui.address(self.local, port)
        self.log = open(home / "server.log", "ab")  # noqa: SIM115  # closed by end
        self.process = subprocess.Popen(
            ui.command(self.local, port),
            cwd=home,
            env=os.environ | ui.environment(),
            stdout=self.log,
            stderr=self.log,
            start_new_session=True,
        )

    def wait(self) -> None:
        deadline = time.monotonic() + 90  # a cold import of the server on a busy machine
        while time.monotonic() < deadline:
            assert self.process.poll() is None, "the MLflow server ended by itself"
            try:
                self.get("/health")
                return
            except OSError:
                time.sleep(0.2)
        raise AssertionError("the MLflow server did not come up")

    def get(self, path: str) -> bytes:
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            return bytes(answer.read())

    def end(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, 15)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, 9)
                self.process.wait(20)
        self.log.close()


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    check(resolve(f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path))
    server = Server(tmp_path, free_port())
    try:
        server.wait()
        yield server
    finally:
        server.end()


def test_a_server_holds_what_the_journal_says_and_survives_its_own_death(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    picture = tmp_path / "grid.png"
    picture.write_bytes(b"\x89PNG generated")
    store = resolve(server.url, tmp_path)
    check(store)

    # Projected over HTTP, read back over HTTP: the board is the journal's, to the last bit.
    records = journal(picture)
    said: list[str] = []
    live = BackgroundProjector(Projector(store), say=said.append, gather_sec=0.05)
    for record in records:
        live.put(record)
    assert live.close(timeout=120)
    assert said == []
    sweep = read.sweeps(store, "echo")[0]
    board = to_json(build(sweep.rows, [sweep.facts]))
    assert board == to_json(build(final_rows(), [facts_of(plan())]))

    # The UI's own routes serve the page and the generated picture, and no real one.
    assert b"<title>MLflow" in server.get("/")
    run_id = _run_id(store, "t000")
    assert server.get(f"/get-artifact?path=samples%2Fsamples.png&run_uuid={run_id}") == (
        picture.read_bytes()
    )
    listing = json.loads(
        server.get(f"/ajax-api/2.0/mlflow/artifacts/list?run_id={run_id}&path=samples")
    )
    assert [file["path"] for file in listing["files"]] == ["samples/samples.png"]

    # The server dies under a second sweep: nothing is raised, it is said, a later sync completes.
    later = [plan("brave-newt"), *trial_records(0, "completed", sweep="brave-newt")]
    live = BackgroundProjector(Projector(store), say=said.append, gather_sec=0.05, retry_sec=0.5)
    live.put(later[0])
    deadline = time.monotonic() + 60
    while live.cost_sec == 0 and time.monotonic() < deadline:
        time.sleep(0.05)
    server.end()
    for record in later[1:]:
        live.put(record)
    assert not live.close(timeout=60)
    assert "`bench sync brave-newt`" in said[-1]
    again = resolve(server.local.uri, tmp_path)
    Projector(again).project(later)
    assert [row.outcome for row in read.sweeps(again, "echo", "brave-newt")[0].rows] == [
        "completed"
    ]


def test_the_ui_shows_the_pictures_of_the_local_store(server: Server, tmp_path: Path) -> None:
    picture = tmp_path / "grid.png"
    picture.write_bytes(b"\x89PNG generated")
    Projector(server.local).project([plan(), *trial_records(0, "completed", picture)])
    run_id = _run_id(server.local, "t000")
    assert (tmp_path / "mlartifacts" / "echo" / run_id).is_dir()
    shown = server.get(f"/get-artifact?path=samples%2Fsamples.png&run_uuid={run_id}")
    assert shown == picture.read_bytes()


@by_turns("chexpert")
def test_a_sweep_of_so_many_seconds_is_recorded_on_a_server(
    server: Server, tmp_path: Path, workload: SmokeWorkload
) -> None:
    """As many trials as fit, all of them on the server; nothing in a store of the home's own."""
    home, where = tmp_path / "home", ("--tracking-uri", server.url)
    # the least budget in which this machine, busy as it may be, trains a trial to its end
    for number, seconds in enumerate((60, 120, 240), start=1):
        name, budget = f"{workload.name}-{number}", ("--wall-clock", f"{seconds}s")
        said = bench(home, "sweep", workload.name, "--scale", "smoke", *budget, *where)
        assert (said.returncode, said.stderr) == (0, "")
        history = History(journal_file.read(home / f"sweeps/{name}/journal.jsonl"))
        assert history.ended is not None
        opened, closed = history.sessions
        assert closed.t - opened.t <= seconds  # from the session's opening to its close
        completed = history.counts().get("completed", 0)
        if completed:
            break
    assert completed >= 1
    store = resolve(server.url, home)
    sweep = read.sweeps(store, workload.name, name)[0]
    assert len(sweep.rows) == len(history.trials)
    boards = [
        bench(home, "leaderboard", "--sweep", name, "--format", "json", *source)
        for source in ((), ("--from", "mlflow", *where))
    ]
    assert [(b.returncode, b.stderr) for b in boards] == [(0, "")] * 2
    assert boards[0].stdout == boards[1].stdout
    entries = json.loads(boards[0].stdout)["entries"]
    # an entry holds all seeds of one configuration; the board also lists those that stopped early
    assert sum(e["n_seeds"] for e in entries if e["outcome"] == "completed") == completed
    assert not (home / "mlflow.db").exists()


def _run_id(store: Store, trial_id: str) -> str:
    mlflow = client(store)
    experiment = mlflow.get_experiment_by_name("echo")
    clause = f"tags.`bench.trial_id` = '{trial_id}'"
    return str(mlflow.search_runs([experiment.experiment_id], clause)[0].info.run_id)
