"""Trials that do nothing: what the harness itself costs.

`python -m tests.measure.noop [--trials 64]` runs a sweep whose trials report at once and end, with
real suggestions, journal, Ray actors and MLflow store, and prints seconds from Ray being up.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.config import TrialConfig
from bench.run import Report

LIMIT_SEC = 15.0  # for 64 trials, after Ray is up


def steps(config: TrialConfig, folder: Path) -> Iterator[Report]:
    """A rung, then the end, both at once; the value is the learning rate's distance from 1e-3."""
    seconds = {"train": 0.0, "sample": 0.0, "measure": 0.0}
    value = abs(config.train.lr - 1e-3)
    for index, nimg in enumerate(config.train.rungs_nimg):
        yield Report(phase="rung", nimg=nimg, metrics={}, seconds=seconds, rung=index, value=value)
    score = {"eval/fd_randconv": value}  # a completed trial has one
    yield Report(phase="end", nimg=nimg, metrics=score, seconds=seconds, outcome="completed")


def main() -> int:
    """Print seconds from Ray being up to the last trial's end; 1 if over LIMIT_SEC."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=64)
    parser.add_argument("--home", type=Path, help="keep the record here")
    parser.add_argument("--profile", action="store_true", help="show where the driver's time goes")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        took = run(asked.home or Path(scratch), asked.trials, asked.profile)
    print(f"{asked.trials} trials that do nothing: {took['after_ray']:.1f} s after Ray is up")
    print(
        f"Ray started in {took['ray']:.1f} s; MLflow had all of it {took['mlflow']:.1f} s after "
        f"the last trial, at {took['telling']:.1f} s of its thread's time; {took['counts']}"
    )
    return int(took["after_ray"] > LIMIT_SEC * max(1.0, asked.trials / 64))


def run(place: Path, trials: int, profile: bool) -> dict[str, Any]:
    """The sweep `bench sweep` would run, but for what its trials do."""
    import cProfile

    from bench.sweep.cost.machine import find_machine
    from bench.sweep.planning.wish import Wish
    from bench.sweep.ray_adapter.driver import ray_up, run_on_tune
    from bench.sweep.record.home import Home
    from bench.sweep.record.publishing import Publisher
    from bench.sweep.running import session
    from bench.track import store as stores
    from bench.track.background import BackgroundProjector
    from bench.track.mlflow_projection import Projector

    home = Home(place.resolve())
    home.make()
    store = stores.resolve(None, home.path)
    stores.check(store)
    wish = Wish(workload="echo", trials=trials, scale="smoke")
    prepared = session.prepare(wish, home, None, lambda text: None)
    projector = BackgroundProjector(Projector(store))
    engine = session.begin(prepared, home, (Publisher(projector.put, home.sweeps),))
    machine = find_machine(None)
    folder = home.folder(engine.plan.sweep)
    watch = cProfile.Profile()
    with ray_up(machine.cores, machine.gpus) as ray_sec:
        begin = time.monotonic()
        if profile:
            watch.enable()
        run_on_tune(engine, folder, steps="tests.measure.noop:steps")
        watch.disable()
        after_ray = time.monotonic() - begin
    begin = time.monotonic()
    engine.journal.close()
    if not projector.close():
        sys.exit("MLflow lacks part of the sweep")
    mlflow = time.monotonic() - begin
    if profile:
        watch.create_stats()
        import pstats

        pstats.Stats(watch).sort_stats("cumulative").print_stats(45)
    return {
        "after_ray": after_ray,
        "ray": ray_sec,
        "mlflow": mlflow,
        "telling": projector.cost_sec,
        "counts": engine.history.counts(),
    }


if __name__ == "__main__":
    sys.exit(main())
