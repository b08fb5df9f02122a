"""What a sweep costs its driver, by simulation: 10,000 trials on 500 nodes, without Ray.

`python -m tests.measure.driver_cost [--trials 10000] [--nodes 500]` fills a journal with so many
trials, 500 of them running, and times a report, a rung and a suggestion on top of it: journal
(fsynced), history, the sweep's budget, pruning, Optuna. Reports per second is what one driver
sustains; what Tune adds to a report is measured by `tests.measure.noop`. Seconds of the process
alone stand beside those of the clock, which others on the machine lengthen.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from bench.run import Report
from bench.sweep.cost.price import cost
from bench.sweep.deciding import suggest
from bench.sweep.deciding.resolve import resolve
from bench.sweep.record.history import History
from bench.sweep.record.journal import Journal
from bench.sweep.record.plan import SweepBudget
from bench.sweep.running.engine import Engine
from bench.workloads.echo import SMOKE
from search_spaces.echo_space import space
from tests.unit.sweep import fakes

DRAWN = 200  # different suggestions; the rest repeats their parameters
SECONDS = {"train": 60.0, "sample": 6.0, "measure": 3.0, "save": 1.0}


def fill(path: Path, trials: int, running: int) -> Engine:
    """A sweep of so many trials, all but the last `running` at their end."""
    limits = SweepBudget(device_sec=1e12)  # looked at, never reached
    plan = fakes.plan(trials=trials + 1000, concurrency=running + 1000, budget=limits)
    rng = np.random.default_rng(0)
    with mock.patch.object(os, "fsync"):
        engine = fakes.open_engine(path, plan)
        suggestions = [_suggestion(engine, number) for number in range(min(DRAWN, trials))]
        for number in range(trials):
            body = {**suggestions[number % len(suggestions)], "trial": number}
            body["trial_id"] = f"{body['entry_id']}-s{number}"
            engine.write("suggest", **body)
            engine.write("start", trial=number, host="node", pid=1)
            ends = number < trials - running
            value = float(rng.uniform(1, 9))
            for rung in range(3 if ends else 1):
                said = report("rung", 100 * (rung + 1), rung, value / (rung + 1))
                engine.write("report", trial=number, **dataclasses.asdict(said))
            if ends:
                engine.write(
                    "report", trial=number, **dataclasses.asdict(report("end", 300, None, None))
                )
                engine.write("outcome", trial=number, outcome="completed", cause="")
    engine.running = {n for n, t in engine.history.trials.items() if t.outcome is None}
    return engine


def _suggestion(engine: Engine, number: int) -> dict[str, Any]:
    plan = dataclasses.replace(engine.plan, search="random")
    params, distributions = suggest.suggest(
        plan, History(engine.journal.records[:1]), number, space, SMOKE.choices, {}
    )
    config = resolve(engine.frame, params, 0)
    return {
        "entry_id": config.entry_id,
        "seed": config.seed,
        "label": "simulated",
        "origin": "tpe",
        "protected": False,
        "params": params,
        "distributions": distributions,
        "cost": dataclasses.asdict(cost(config.task, config.method)),
        "config": config.to_dict(),
    }


def report(phase: str, nimg: int, rung: int | None, value: float | None) -> Report:
    metrics = {f"train/m{k}": 1.0 + k for k in range(6)}
    outcome = "completed" if phase == "end" else None
    return Report(
        phase=phase,
        nimg=nimg,
        metrics=metrics,
        seconds=SECONDS,
        rung=rung,
        value=value,
        outcome=outcome,
    )


def timed(calls: list[Callable[[], object]]) -> tuple[float, float]:
    """Median seconds of a call: by the clock, and of this process alone."""
    took = []
    for call in calls:
        begin = time.perf_counter(), time.process_time()
        call()
        took.append((time.perf_counter() - begin[0], time.process_time() - begin[1]))
    wall, own = np.median(took, axis=0).tolist()
    return wall, own


def measure(trials: int, running: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as scratch:
        begin = time.perf_counter()
        engine = fill(Path(scratch), trials, running)
        filled = time.perf_counter() - begin
        open_trials = sorted(engine.running)
        progress = timed(
            [
                partial(engine.reported, n, report("progress", 110, None, None))
                for n in open_trials[:100]
            ]
        )
        rung = timed(
            [partial(engine.reported, n, report("rung", 200, 1, 0.5)) for n in open_trials[:20]]
        )
        suggestion = timed([engine.next for _ in range(7)])
        size = engine.journal.path.stat().st_size
        engine.journal.close()
        begin = time.perf_counter()
        with Journal(engine.journal.path) as journal:
            type(engine.history)(journal.records)
        reopened = time.perf_counter() - begin
    return {
        "fill": filled,
        "progress": progress,
        "rung": rung,
        "suggestion": suggestion,
        "reopen": reopened,
        "mb": size / 1e6,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--nodes", type=int, default=500)
    parser.add_argument("--profile", action="store_true")
    asked = parser.parse_args()
    if asked.profile:
        import cProfile

        cProfile.runctx("measure(asked.trials, asked.nodes)", globals(), locals(), sort="cumtime")
        return
    print("ms by the clock (of the process alone)")
    print(
        "trials       a report         a rung   a suggestion  s to reopen  MB of journal  reports/s"
    )
    for trials in sorted({asked.trials // 100, asked.trials // 10, asked.trials}):
        found = measure(trials, min(asked.nodes, trials // 2))
        kinds = [found[kind] for kind in ("progress", "rung", "suggestion")]
        ms = " ".join(f"{1e3 * wall:6.1f} ({1e3 * own:5.1f})" for wall, own in kinds)
        print(
            f"{trials:6d} {ms} {found['reopen']:12.1f} {found['mb']:14.1f} {1 / kinds[0][0]:10.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
