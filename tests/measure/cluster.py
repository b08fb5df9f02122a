"""A real cluster on this machine, in figures: one node against two, and what a kill costs.

`python -m tests.measure.cluster [--trials 8]` runs the same sweep of real small trials on one node
of one CPU and on two, then kills the node of a running trial while another node idles. Ray's own
detection of a machine that falls silent (no connection is reset) takes about 30 s more by default;
here a node's processes are killed.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.sweep.record import journal
from tests.fakes.cluster import REPOSITORY, Cluster, cluster

LIMIT_SEC = 300.0


def sweep(made: Cluster, trials: int, together: int) -> tuple[subprocess.Popen[bytes], Path]:
    """Start the driver of a sweep; its journal."""
    made.clear("home", "shared")
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "tests.fakes.cluster_sweep", str(made.base), made.address),
            *(str(trials), "--together", str(together)),
        ],
        env=made.environment(made.base),
        cwd=REPOSITORY,
        stdout=subprocess.DEVNULL,
    )
    return process, made.base / "home/sweeps/fake-1/journal.jsonl"


def wait(path: Path, seen: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
    until = time.monotonic() + LIMIT_SEC
    while time.monotonic() < until:
        if path.exists() and seen(records := journal.read(path)):
            return records
        time.sleep(0.02)
    raise TimeoutError("the sweep does not get on")


def trials_per_minute(made: Cluster, trials: int, nodes: int) -> float:
    """From the first trial's start to the last one's end, the second half of the trials only:
    by then every node has its process."""
    process, path = sweep(made, trials, nodes)
    process.wait(LIMIT_SEC)
    ends = [r["t"] for r in journal.read(path) if r["kind"] == "outcome"]
    half = len(ends) // 2
    return 60.0 * (len(ends) - half) / (ends[-1] - ends[half - 1])


def seconds_to_go_on(made: Cluster) -> dict[str, float]:
    """From the kill of a trial's node: until it is known, handed out again, training again."""
    process, path = sweep(made, 3, 1)
    wait(path, lambda seen: any(r.get("phase") == "rung" for r in seen))
    busy = made.busiest()
    at = time.time()
    made.kill(busy)

    def resumed(seen: list[dict[str, Any]]) -> bool:
        cut = next((k for k, r in enumerate(seen) if r.get("lost")), None)
        return cut is not None and any(r["kind"] == "report" for r in seen[cut:])

    records = wait(path, resumed)
    cut = next(k for k, r in enumerate(records) if r.get("lost"))
    after = records[cut:]
    took = {
        "known": after[0]["t"] - at,
        "started": next(r["t"] for r in after if r["kind"] == "start") - at,
        "first report": next(r["t"] for r in after if r["kind"] == "report") - at,
    }
    process.wait(LIMIT_SEC)
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=8)
    asked = parser.parse_args()
    base = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        with cluster(base, 1) as made:
            print(made.isolation)
            one = trials_per_minute(made, asked.trials, 1)
            made.add()
            made.wait()
            two = trials_per_minute(made, asked.trials, 2)
            print(f"trials a minute: one node {one:.1f}, two nodes {two:.1f} ({two / one:.2f}x)")
            took = seconds_to_go_on(made)
            print("after a node's kill: " + ", ".join(f"{k} {v:.1f} s" for k, v in took.items()))
    finally:
        shutil.rmtree(base, ignore_errors=True)


if __name__ == "__main__":
    main()
