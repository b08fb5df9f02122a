"""A driver of a small real sweep on a cluster, as a process of its own.

    python -m tests.fakes.cluster_sweep BASE ADDRESS TRIALS [--home HOME] [--together N]
        [--workers W]

BASE/home is the driver's own folder, BASE/shared the storage. Suggestions are random and nothing
is pruned, so that what a trial is does not depend on which trial ended first.
A sweep that storage knows is taken up from there.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from backbones.inputs import Inputs
from bench.config import DataConfig, TaskConfig
from bench.storage import layout
from bench.sweep.ray_adapter.cluster import PACKAGES, cluster_up, room
from bench.sweep.ray_adapter.driver import STEPS, run_on_tune
from bench.sweep.running.drive import WORKERS
from bench.sweep.running.engine import Engine
from bench.workloads.echo import SMOKE
from tests.fakes.trials import write_cache
from tests.unit.sweep import fakes

SIDE, SWEEP, DIGEST = 16, "fake-1", "fake0"
INPUTS = Inputs(spatial=(SIDE, SIDE), channels=1, out_channels=1)


def open_engine(
    home: Path, cache: Path, trials: int, workers: int, listeners: tuple[layout.Listener, ...]
) -> Engine:
    frame = fakes.frame(
        scale=dataclasses.replace(SMOKE, budget_tflop=0.06),  # some 5 s a trial
        data=DataConfig(name="fake", digest=DIGEST, simulated=True, cache=str(cache)),
        task=TaskConfig(kind="generate", inputs=INPUTS, sigma_data=0.45),
        workers=workers,
    )
    plan = fakes.plan(
        sweep=SWEEP,
        trials=trials,
        search="random",
        prune=False,
        concurrency=1,
        workers=workers,
    )
    return fakes.open_engine(home / "sweeps", plan, frame=frame, listeners=listeners)


def run(
    base: Path, address: str, trials: int, home: str, together: int | None, workers: int
) -> dict[str, int]:
    """Begin the sweep, or take it up from storage in another home; counts of outcomes."""
    alone = {"cpu": 1.0}
    here, shared = base / home, str(base / "shared")
    cache = here / "cache" / DIGEST
    journal = here / "sweeps" / SWEEP / "journal.jsonl"
    if layout.segments.is_stored(layout.sweep_place(shared, SWEEP)):
        layout.bring_back(shared, SWEEP, journal)
        layout.fetch_cache(shared, DIGEST, cache.parent)
    elif not cache.exists():
        write_cache(cache, side=SIDE)
        layout.check(shared, base, new_sweep=SWEEP)
        layout.share_cache(shared, cache)

    def said(text: str) -> None:
        print(text, flush=True)

    with layout.followed(shared, SWEEP, journal.parent, said, every_sec=1.0) as listeners:
        engine = open_engine(here, cache, trials, workers, listeners)
        engine.write("session", event="open", host="here", pid=1)
        engine.take_up()
        with cluster_up(address, (*PACKAGES, "tests")) as seconds:
            print(f"connected after {seconds:.1f} s", flush=True)
            # imports ray, which reads while it is imported what `cluster_up` sets
            from bench.sweep.ray_adapter.workers import trial_resources

            run_on_tune(
                engine,
                journal.parent,
                resources=lambda trial: alone if workers == 1 else trial_resources(),
                steps=STEPS if workers == 1 else WORKERS,
                storage=shared,
                room=lambda: together or room(alone) // workers,
            )
        engine.write("session", event="close", cause="")
        engine.journal.close()
    return engine.history.counts()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("base", type=Path)
    parser.add_argument("address")
    parser.add_argument("trials", type=int)
    parser.add_argument("--home", default="home")
    parser.add_argument("--together", type=int)
    parser.add_argument("--workers", type=int, default=1)
    print(run(**vars(parser.parse_args())))
