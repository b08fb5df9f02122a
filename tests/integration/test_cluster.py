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
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.config import TrialConfig
from bench.run import Report, run_trial
from bench.sweep import journal
from tests.fakes.cluster import REPOSITORY, Cluster, cluster
from tests.fakes.trials import timeless

pytestmark = pytest.mark.slow

FILES = ("ema.safetensors", "samples.png", "stability_log.npz")
WAIT_SEC = 240.0


@pytest.fixture(scope="module")
def nodes() -> Iterator[Cluster]:
    """A head without CPUs and two nodes of one; sockets need a short path."""
    base = Path(tempfile.mkdtemp(prefix="bench-"))
    with cluster(base, 2) as made:
        print(made.isolation)
        yield made
    shutil.rmtree(base, ignore_errors=True)


class Driver:
    """A sweep's driver as a process, and its journal."""

    def __init__(
        self, nodes: Cluster, trials: int, home: str = "home", workers: int = 1, **env: str
    ) -> None:
        self.nodes, self.base, self.home = nodes, nodes.base, nodes.base / home
        self.journal = self.home / "sweeps/fake-1/journal.jsonl"
        self.log = nodes.base / f"driver-{home}.log"
        with open(self.log, "w") as out:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "tests.fakes.cluster_sweep"),
                    *(str(self.base), nodes.address, str(trials)),
                    *("--home", home, "--workers", str(workers)),
                ],
                env={**nodes.environment(self.base), **env},
                cwd=REPOSITORY,
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    def records(self) -> list[dict[str, Any]]:
        return journal.read(self.journal) if self.journal.exists() else []

    def until(self, seen: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
        """Wait until the journal shows something."""
        end = time.monotonic() + WAIT_SEC
        while not seen(records := self.records()):
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < end, f"not seen in time\n{self.said()}\n{self.nodes.said()}"
            time.sleep(0.05)
        return records

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def said(self) -> str:
        return self.log.read_text()[-4000:]

    def ended(self) -> int:
        """Wait for its end; its exit code."""
        try:
            return self.process.wait(WAIT_SEC)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"no end in time\n{self.said()}\n{self.nodes.said()}") from None

    def finish(self) -> None:
        assert self.ended() == 0, self.said()


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
        driver.stop()


def rungs(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [r for r in records if r["kind"] == "report" and r["phase"] == "rung"]


def check_results(nodes: Cluster, records: list[dict[str, Any]], numbers: list[int]) -> None:
    """Rungs, last metrics and files of these trials are those of a trial run through here; and
    nodes had nothing of the driver's folder."""
    assert [*nodes.seen("home"), *nodes.seen("other")] == []
    assert nodes.seen("scratch")  # their own they had
    for number in numbers:
        asked = next(r for r in records if r["kind"] == "suggest" and r["trial"] == number)
        config = TrialConfig.from_dict(asked["config"])
        cache = next(nodes.base.glob("*/cache/fake0"))
        config = dataclasses.replace(
            config, data=dataclasses.replace(config.data, cache=str(cache))
        )
        folder = nodes.base / f"oracle-{number}"
        said: list[dict[str, Any]] = []
        run_trial(config, folder, lambda report, said=said: bool(said.append(timeless(report))))
        heard = [r for r in records if r["kind"] == "report" and r["trial"] == number]
        body = {(r["phase"], r["nimg"]): r for r in said if r["phase"] != "progress"}
        for report in (r for r in heard if r["phase"] != "progress"):
            expected = body.pop((report["phase"], report["nimg"]))
            metrics = report["metrics"].items()
            told = {k: v for k, v in metrics if not k.startswith("throughput/")}
            assert (told, report["value"]) == (expected["metrics"], expected["value"])
        assert body == {}
        place = nodes.base / "shared/sweeps/fake-1/trials" / f"{number:04d}"
        for name in FILES:
            assert (place / name).read_bytes() == (folder / name).read_bytes(), (number, name)
        shutil.rmtree(folder)


def check_once(records: list[dict[str, Any]], trials: int) -> None:
    """Nothing lost, nothing twice."""
    numbers = list(range(trials))
    assert [r["trial"] for r in records if r["kind"] == "suggest"] == numbers
    ends = [r for r in records if r["kind"] == "outcome" and r["outcome"] != "interrupted"]
    assert sorted(r["trial"] for r in ends) == numbers
    assert {r["outcome"] for r in ends} == {"completed"}
    said = Counter((r["trial"], r["rung"]) for r in rungs(records))
    assert set(said) == {(n, rung) for n in numbers for rung in range(3)}
    assert set(said.values()) == {1}


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
        own = [r for r in records if r.get("trial") == number]
        cut = next(k for k, r in enumerate(own) if r.get("lost"))
        assert [r["kind"] for r in own].count("start") == 2
        # it goes on past the rung it was heard to pass: nothing is told again, nothing left out
        nimg = [r["nimg"] for r in own if r["kind"] == "report" and r["phase"] != "end"]
        assert nimg == sorted(set(nimg))
        assert any(r["kind"] == "report" for r in own[cut:])
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
    first.process.kill()
    first.process.wait()
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
        cache = next(nodes.base.glob("*/cache/fake0"))
        alone = dataclasses.replace(
            config,
            data=dataclasses.replace(config.data, cache=str(cache)),
            train=dataclasses.replace(config.train, workers=1),
        )
        said: list[Report] = []
        run_trial(alone, nodes.base / f"oracle-{number}", lambda r, said=said: bool(said.append(r)))
        here = {r.rung: r.metrics for r in said if r.phase == "rung"}
        for report in rungs([r for r in records if r.get("trial") == number]):
            for name, value in here[report["rung"]].items():
                if name.startswith("train/"):  # one micro-batch a worker, as alone: no rounding
                    assert report["metrics"][name] == value, name
                elif not name.startswith("throughput/"):  # pictures are drawn in other batches
                    assert report["metrics"][name] == pytest.approx(value, rel=1e-3), name


def test_a_wrong_token_is_refused_in_one_line(drive: Callable[..., Driver]) -> None:
    driver = drive(trials=1, RAY_AUTH_TOKEN="f" * 64, RAY_AUTH_TOKEN_PATH="")
    assert driver.ended() != 0
    assert "refuses our token" in driver.said()


LISTENING = """
import psutil
from bench.sweep.ray_adapter.driver import ray_up

with ray_up(1, 0):
    own = psutil.Process()
    for process in [own, *own.children(recursive=True)]:
        for found in process.net_connections("inet"):
            if found.status == psutil.CONN_LISTEN:
                print(found.laddr.ip)
"""


def test_an_embedded_ray_listens_on_this_machine_alone() -> None:
    said = subprocess.run(
        [sys.executable, "-c", LISTENING], capture_output=True, text=True, cwd=REPOSITORY
    )
    assert said.returncode == 0, said.stderr
    found = set(said.stdout.split())
    assert found
    assert found <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
