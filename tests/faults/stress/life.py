"""One life of a sweep without Ray: the real engine, journal, Optuna, checkpoints and MLflow.

What trials do is a formula, carried from rung to rung in a real checkpoint, so that a trial that
went on from a wrong or damaged one ends elsewhere.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import torch

from bench.config import TrialConfig
from bench.errors import BenchError
from bench.run import Report
from bench.sweep.record.home import Home
from bench.sweep.record.journal import Journal
from bench.sweep.record.plan import Plan
from bench.sweep.record.publishing import Publisher, replay
from bench.sweep.running.engine import Engine
from bench.track import store as stores
from bench.track.background import BackgroundProjector
from bench.track.mlflow_projection import Projector
from bench.train import checkpoint
from bench.workloads.echo import SMOKE
from leaderboards.measures import Measure
from search_spaces.echo_space import space
from tests.faults.on_ray import phases
from tests.unit.sweep import fakes

NAME = "stress"
SCORE = Measure(key="fd_formula", title="FD of a formula", direction="lower")
SECONDS = {"train": 0.0, "sample": 0.0, "measure": 0.0}
CELLS = (
    {"architecture": "adm", "preconditioning": "edm"},
    {"architecture": "small_unet", "preconditioning": "vp"},
)


def preload() -> None:
    """What every life would load and count anew, once in the process they are forked from."""
    import mlflow.store.tracking.sqlalchemy_store  # noqa: F401

    from bench.sweep.cost.price import cost
    from bench.sweep.deciding.resolve import default_params, resolve

    for architecture in SMOKE.choices.architectures:
        for setup in SMOKE.choices.preconditionings:
            for width in SMOKE.size(architecture).widths:
                cell = {"architecture": architecture, "preconditioning": setup}
                params = {**default_params(SMOKE, cell), "width": width}
                config = resolve(fakes.frame(), params, 0)
                cost(config.task, config.method)


def plan(seed: int, trials: int, concurrency: int) -> Plan:
    from bench.sweep.deciding.resolve import default_params

    return fakes.plan(
        sweep=NAME,
        trials=trials,
        seed=seed,
        concurrency=concurrency,
        startup_trials=len(CELLS),
        cells=CELLS,
        defaults=tuple(default_params(SMOKE, cell) for cell in CELLS),
        score=SCORE,
        measures=(dataclasses.replace(SCORE, key=f"eval/{SCORE.key}"),),
        protocol={
            "metric": SCORE.key,
            "direction": SCORE.direction,
            "scale": SCORE.scale,
            "unit": SCORE.unit,
        },
        protocol_digest="0" * 16,
        data={"name": "none", "digest": "0" * 16, "simulated": True},
    )


def steps(config: TrialConfig, folder: Path) -> Iterator[Report]:
    """A trial's reports from its newest readable checkpoint on, as bench.run.steps."""
    state, done = torch.zeros(64, dtype=torch.float64), 0
    for path in checkpoint.existing(folder):
        try:
            tensors, meta = checkpoint.read(path)
        except BenchError:
            continue  # the one before it
        state, done = tensors["state"], meta["done"]
        yield Report(**meta["report"])
        break
    rungs = config.train.rungs_nimg
    for rung in range(done, len(rungs)):
        with phases.phase("train"):
            generator = torch.Generator().manual_seed(config.seed * 31 + rung)
            for _ in range(20):
                noise = torch.randn(64, generator=generator, dtype=torch.float64)
                state = 0.9 * state + noise * config.train.lr
        yield Report(phase="progress", nimg=rungs[rung] - 1, metrics={}, seconds=SECONDS)
        with phases.phase("measure"):
            value = float(state.abs().mean()) * 1e3 + 1 / (rung + 1)
        metrics = {"rung/fd_formula": value}
        report = {"rung": rung, "value": value, "metrics": metrics, "seconds": SECONDS}
        report |= {"phase": "rung", "nimg": rungs[rung]}
        with phases.phase("checkpoint"):
            path = checkpoint.path_at(folder, rungs[rung])
            checkpoint.write(path, {"state": state}, {"done": rung + 1, "report": report})
            checkpoint.retain(folder, path)
        yield Report(**report)
    yield Report(
        phase="end",
        nimg=rungs[-1],
        metrics={"eval/fd_formula": float(state.sum()) + 100, "eval/fd_formula_se": 1.0},
        seconds=SECONDS,
        outcome="completed",
    )


def live(path: Path, seed: int, trials: int, concurrency: int) -> None:
    """From where the journal ends to the sweep's end; killed anywhere in between."""
    home = Home(path)
    store = stores.resolve(None, path)
    with phases.phase("store"):
        stores.check(store)
    projector = BackgroundProjector(Projector(store), gather_sec=0.01)
    publish = Publisher(projector.put, home.sweeps)
    journal = Journal(home.journal(NAME))
    for record in journal.records:
        publish(record)
    engine = Engine(journal, fakes.frame(), space, SMOKE.choices, (publish,))
    if not journal.records:
        engine.write("plan", **plan(seed, trials, concurrency).body())
    if engine.history.ended is None:
        engine.write("session", event="open", host="here", pid=1)
        engine.take_up()
        _drive(engine, home.folder(NAME) / "trials")
        engine.write("session", event="close", cause="")
        engine.write("end", summary={"counts": engine.history.counts()})
    journal.close()
    projector.close()
    with phases.phase("sync"):
        Projector(store).project(replay(journal.records, home.folder(NAME)))


def _drive(engine: Engine, folder: Path) -> None:
    running: dict[int, Iterator[Report]] = {}
    while True:
        while (trial := engine.next()) is not None:
            engine.started(trial.number, "here", 1)
            config = TrialConfig.from_dict(trial.suggestion.config)
            place = folder / f"{trial.number:04d}"
            place.mkdir(parents=True, exist_ok=True)
            running[trial.number] = steps(config, place)
        if not running:
            return
        for number, reports in list(running.items()):
            if engine.reported(number, next(reports)):
                del running[number]
