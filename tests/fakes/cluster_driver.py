"""A sweep's driver on the test cluster, and what must hold of a sweep whatever was killed."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from bench.config import TrialConfig
from bench.run import run_trial
from bench.sweep.record import journal
from tests.fakes.cluster import REPOSITORY, Cluster
from tests.fakes.trials import timeless

FILES = ("weights.safetensors", "samples.png", "stability_log.npz")
WAIT_SEC = 240.0

Records = list[dict[str, Any]]


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

    def records(self) -> Records:
        return journal.read(self.journal) if self.journal.exists() else []

    def until(self, seen: Callable[[Records], bool]) -> Records:
        """Wait until the journal shows something."""
        end = time.monotonic() + WAIT_SEC
        while not seen(records := self.records()):
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < end, f"not seen in time\n{self.said()}\n{self.nodes.said()}"
            time.sleep(0.05)
        return records

    def kill(self) -> None:
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


def rungs(records: Records) -> Records:
    return [r for r in records if r["kind"] == "report" and r["phase"] == "rung"]


def check_once(records: Records, trials: int) -> None:
    """Nothing lost, nothing twice."""
    numbers = list(range(trials))
    assert [r["trial"] for r in records if r["kind"] == "suggest"] == numbers
    ends = [r for r in records if r["kind"] == "outcome" and r["outcome"] != "interrupted"]
    assert sorted(r["trial"] for r in ends) == numbers
    assert {r["outcome"] for r in ends} == {"completed"}
    said = Counter((r["trial"], r["rung"]) for r in rungs(records))
    assert set(said) == {(n, rung) for n in numbers for rung in range(3)}
    assert set(said.values()) == {1}


def check_results(nodes: Cluster, records: Records, numbers: Iterable[int]) -> None:
    """Rungs, last metrics and files of these trials are those of a trial run through here; and
    nodes had nothing of the driver's folder."""
    assert [*nodes.seen("home"), *nodes.seen("other")] == []
    assert nodes.seen("scratch")  # their own they had
    for number in numbers:
        asked = next(r for r in records if r["kind"] == "suggest" and r["trial"] == number)
        said, folder = alone(nodes.base, TrialConfig.from_dict(asked["config"]))
        heard = [r for r in records if r["kind"] == "report" and r["trial"] == number]
        body = {(r["phase"], r["nimg"]): r for r in said if r["phase"] != "progress"}
        for report in (r for r in heard if r["phase"] != "progress"):
            expected = body.pop((report["phase"], report["nimg"]))
            metrics = report["metrics"].items()
            measured = {k: v for k, v in metrics if not k.startswith("throughput/")}
            assert (measured, report["value"]) == (expected["metrics"], expected["value"])
        assert body == {}
        place = nodes.base / "shared/sweeps/fake-1/trials" / f"{number:04d}"
        for name in FILES:
            assert (place / name).read_bytes() == (folder / name).read_bytes(), (number, name)


_ALONE: dict[str, tuple[Records, Path]] = {}


def alone(base: Path, config: TrialConfig) -> tuple[Records, Path]:
    """What a trial says, and its folder, when it is run through here; once a configuration."""
    folder = base / "alone" / config.trial_id
    if str(folder) not in _ALONE:
        cache = next(base.glob("*/cache/fake0"))
        data = dataclasses.replace(config.data, cache=str(cache))
        said: Records = []
        run_trial(
            dataclasses.replace(config, data=data),
            folder,
            lambda report: bool(said.append(timeless(report))),
        )
        _ALONE[str(folder)] = said, folder
    return _ALONE[str(folder)]
