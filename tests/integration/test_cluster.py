"""A sweep on a real cluster of three Ray nodes whose folders vanish with them.

One node is killed in mid-sweep and another one joins; the driver is killed and its folder lost. The
oracle is the same trial run here through, without a cluster.
"""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.config import TrialConfig
from bench.sweep.record import journal
from bench.sweep.record.history import History
from tests.fakes.cluster import REPOSITORY, Cluster, cluster
from tests.fakes.cluster_driver import (
    WAIT_SEC,
    Driver,
    alone,
    check_once,
    check_results,
    rungs,
)
from tests.fakes.smoke_workloads import SmokeWorkload, by_turns

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def nodes() -> Iterator[Cluster]:
    """A head without CPUs and two nodes of one; sockets need a short path."""
    base = Path(tempfile.mkdtemp(prefix="bench-"))
    with cluster(base, 2) as made:
        print(made.isolation)
        yield made
    shutil.rmtree(base, ignore_errors=True)


@pytest.fixture
def drive(nodes: Cluster) -> Iterator[Callable[..., Driver]]:
    """Begins a driver on nodes that are all up, with an empty storage; a test that fails leaves
    none behind."""
    nodes.wait()
    nodes.clear("home", "other", "shared")
    begun: list[Driver] = []

    def begin(trials: int, **how: Any) -> Driver:
        begun.append(Driver(nodes, trials, **how))
        return begun[-1]

    yield begin
    for driver in begun:
        driver.kill()


def test_a_node_is_killed_and_another_joins(nodes: Cluster, drive: Callable[..., Driver]) -> None:
    driver = drive(trials=5)
    driver.until(lambda seen: bool(rungs(seen)))  # at the first of three, a node is at work
    nodes.kill(nodes.busiest())
    nodes.add()
    driver.finish()
    records = driver.records()
    check_once(records, 5)
    lost = [r["trial"] for r in records if r["kind"] == "outcome" and r.get("lost")]
    assert len(lost) == 1
    for number in lost:
        of_trial = [r for r in records if r.get("trial") == number]
        cut = next(k for k, r in enumerate(of_trial) if r.get("lost"))
        assert [r["kind"] for r in of_trial].count("start") == 2
        # it goes on past the rung it was heard to pass: nothing is told again, nothing left out
        nimg = [r["nimg"] for r in of_trial if r["kind"] == "report" and r["phase"] != "end"]
        assert nimg == sorted(set(nimg))
        assert any(r["kind"] == "report" for r in of_trial[cut:])
    check_results(nodes, records, [*lost, 4])
    shared = nodes.base / "shared/sweeps/fake-1"
    stored = b"".join(p.read_bytes() for p in sorted((shared / "journal").iterdir()))
    assert stored == driver.journal.read_bytes()
    assert not (shared / "driver.json").exists()
    assert list(shared.glob("trials/*/checkpoint-*")) == []
    # what boards show has come to the driver
    pictures = [driver.home / f"sweeps/fake-1/trials/{n:04d}/samples.png" for n in range(5)]
    assert all(p.exists() for p in pictures)


def test_a_driver_is_killed_and_its_folder_lost(
    nodes: Cluster, drive: Callable[..., Driver]
) -> None:
    """The sweep goes on from storage in another place; what it lost was not there yet."""
    first = drive(trials=5)
    first.until(lambda seen: len(rungs(seen)) >= 4)
    first.kill()
    before = first.records()
    nodes.clear("home")
    second = drive(trials=5, home="other")
    second.finish()
    records = second.records()
    check_once(records, 5)
    kept = next(k for k, (a, b) in enumerate(zip([*before, {}], records, strict=False)) if a != b)
    # segments go every second here; an upload takes far less than another
    assert before[-1]["t"] - before[kept - 1]["t"] < 3.0
    check_results(nodes, records, [0, 1])


@by_turns("chexpert_generate")
def test_a_whole_sweep_through_the_command_line(nodes: Cluster, workload: SmokeWorkload) -> None:
    """A node is killed in mid-sweep: nothing is lost, the board is MLflow's, and a part that is
    prepared once (an autoencoder) has come to the nodes."""
    nodes.wait()
    nodes.clear("home", "other", "shared")
    home, shared = nodes.base / "home", nodes.base / "shared"
    environment = {**nodes.environment(nodes.base), "COLUMNS": "120"}
    environment.pop("MLFLOW_TRACKING_URI", None)
    common = {"cwd": nodes.base, "env": environment, "text": True}
    command = [sys.executable, "-m", "bench"]
    to = ("--home", str(home))
    where = ("--address", nodes.address, "--storage", str(shared))
    log = nodes.base / "command.log"
    with open(log, "w") as out:
        process = subprocess.Popen(
            [*command, *workload.command, *to, *where], stdout=out, stderr=out, **common
        )
        path = home / f"sweeps/{workload.sweep}/journal.jsonl"
        until = time.monotonic() + WAIT_SEC
        while not (path.exists() and rungs(journal.read(path))):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.05)
        nodes.kill(nodes.busiest())
        nodes.add()
        assert process.wait(WAIT_SEC) == 0, log.read_text()
    history = History(journal.read(path))
    assert history.counts() == {"completed": workload.trials}
    assert any(r["kind"] == "outcome" and r.get("lost") for r in journal.read(path))
    stored = b"".join(
        p.read_bytes() for p in sorted((shared / f"sweeps/{workload.sweep}/journal").iterdir())
    )
    assert stored == path.read_bytes()
    boards = [
        subprocess.run(
            [*command, "leaderboard", workload.name, "--format", "json", *to, *source],
            capture_output=True,
            **common,
        )
        for source in ((), ("--from", "mlflow"))
    ]
    assert [board.returncode for board in boards] == [0, 0]
    assert boards[0].stdout == boards[1].stdout


def test_a_node_is_killed_under_a_trial_of_two_workers(
    nodes: Cluster, drive: Callable[..., Driver]
) -> None:
    """One on each node: half of the trial is gone, all of it goes on once a third node is there."""
    driver = drive(trials=2, workers=2)
    driver.until(lambda seen: bool(rungs(seen)))
    nodes.kill(nodes.busiest())
    nodes.add()
    driver.finish()
    records = driver.records()
    check_once(records, 2)
    assert [r for r in records if r["kind"] == "outcome" and r.get("lost")]
    for number in range(2):
        asked = next(r for r in records if r["kind"] == "suggest" and r["trial"] == number)
        config = TrialConfig.from_dict(asked["config"])
        assert config.train.workers == 2
        one = dataclasses.replace(config, train=dataclasses.replace(config.train, workers=1))
        said, _ = alone(nodes.base, one)
        here = {r["rung"]: r["metrics"] for r in said if r["phase"] == "rung"}
        for report in rungs([r for r in records if r.get("trial") == number]):
            for name, value in here[report["rung"]].items():
                if name.startswith("train/"):  # one micro-batch a worker, as alone: no rounding
                    assert report["metrics"][name] == value, name
                else:  # pictures are drawn in other batches
                    assert report["metrics"][name] == pytest.approx(value, rel=1e-3), name


def test_a_wrong_token_is_refused_in_one_line(drive: Callable[..., Driver]) -> None:
    driver = drive(trials=1, RAY_AUTH_TOKEN="f" * 64, RAY_AUTH_TOKEN_PATH="")
    assert driver.ended() != 0
    assert "refuses our token" in driver.said()


LISTENING = """
import psutil
from bench.sweep.ray_adapter.driver import ray_up

with ray_up(1, 0):
    driver = psutil.Process()
    for process in [driver, *driver.children(recursive=True)]:
        for connection in process.net_connections("inet"):
            if connection.status == psutil.CONN_LISTEN:
                print(connection.laddr.ip)
"""


def test_an_embedded_ray_listens_on_this_machine_alone() -> None:
    said = subprocess.run(
        [sys.executable, "-c", LISTENING], capture_output=True, text=True, cwd=REPOSITORY
    )
    assert said.returncode == 0, said.stderr
    addresses = set(said.stdout.split())
    assert addresses
    assert addresses <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
