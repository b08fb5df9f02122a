"""Kills nodes of a real Ray cluster, and drivers with their disk, and checks that nothing was lost.

    python -m tests.faults.on_cluster --kills 30

Sweeps run on two nodes (tests.fakes.cluster), two trials at once, with storage. At random moments a
node is killed with its folders and another one joins, or the driver is killed with its home and
the sweep taken up from storage in an empty one. At a sweep's end every trial was suggested once and
ended once, its rungs, metrics and files are to the bit those of the same trial run here alone, and
the journal in storage is the driver's.
"""

from __future__ import annotations

import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import click

from leaderboards.rows import ON_ITS_WAY
from tests.fakes.cluster import Cluster, cluster
from tests.fakes.cluster_driver import Driver, Records, check_once, check_results

PAUSE_SEC = 5.0  # at most, from a sign of life to the next kill; a trial takes some 5 s


class Storm:
    """Kills so far, by what was killed."""

    def __init__(self, nodes: Cluster, trials: int, seed: int) -> None:
        self.nodes, self.trials = nodes, trials
        self.draw = random.Random(seed)
        self.kills: Counter[str] = Counter()

    def sweep(self, wanted: int) -> None:
        """One sweep, killed until it ends or there are enough kills, then checked."""
        self.nodes.wait()
        self.nodes.clear("home", "shared")
        driver, at = Driver(self.nodes, self.trials), 0.0
        try:
            while self.kills.total() < wanted:
                driver.until(lambda seen, at=at: _goes_on(seen, at) or _over(seen, self.trials))
                time.sleep(self.draw.uniform(0, PAUSE_SEC))
                if _over(driver.records(), self.trials):
                    break
                at = time.time()
                driver = self.kill(driver)
            driver.finish()
            self.nodes.wait()
            self.check(driver)
        finally:
            driver.kill()

    def kill(self, driver: Driver) -> Driver:
        """A node, or the driver; the driver that goes on."""
        if self.draw.random() < 0.25:
            driver.kill()
            self.nodes.clear("home")
            self.kills["driver"] += 1
            return Driver(self.nodes, self.trials)
        self.nodes.kill(self.draw.choice(self.nodes.nodes))
        self.nodes.add()
        self.kills["node"] += 1
        return driver

    def check(self, driver: Driver) -> None:
        records = driver.records()
        check_once(records, self.trials)
        check_results(self.nodes, records, range(self.trials))
        segments = sorted((self.nodes.base / "shared/sweeps/fake-1/journal").iterdir())
        stored = b"".join(path.read_bytes() for path in segments)
        assert stored == driver.journal.read_bytes(), "the journal in storage is another"


def _goes_on(records: Records, at: float) -> bool:
    """Whether there was a report since, also of every trial that was lost with its node."""
    reports = [r for r in records if r["kind"] == "report"]
    lost = {r["trial"]: r["t"] for r in records if r["kind"] == "outcome" and r.get("lost")}
    last = {r["trial"]: r["t"] for r in reports}
    since = any(r["t"] > at for r in reports)
    return since and all(last.get(trial, 0.0) > t for trial, t in lost.items())


def _over(records: Records, trials: int) -> bool:
    ends = [r for r in records if r["kind"] == "outcome" and r["outcome"] not in ON_ITS_WAY]
    return len(ends) >= trials


@click.command()
@click.option("--kills", type=int, default=30, show_default=True)
@click.option("--trials", type=int, default=8, show_default=True, help="Of each sweep.")
@click.option("--seed", type=int, default=0, show_default=True)
def main(kills: int, trials: int, seed: int) -> None:
    base = Path(tempfile.mkdtemp(prefix="bench-"))
    sweeps, violations = 0, []
    try:
        with cluster(base, 2) as nodes:
            click.echo(nodes.isolation)
            storm = Storm(nodes, trials, seed)
            while storm.kills.total() < kills:
                try:
                    storm.sweep(kills)
                except AssertionError as error:
                    violations.append(str(error))
                    click.echo(f"violation: {error}")
                sweeps += 1
                done = ", ".join(f"{what} {count}" for what, count in storm.kills.items())
                click.echo(f"{sweeps} sweeps of {trials} trials, killed: {done}")
    finally:
        shutil.rmtree(base, ignore_errors=True)
    click.echo(f"violations: {len(violations)}")
    sys.exit(1 if violations else 0)


if __name__ == "__main__":
    main()
