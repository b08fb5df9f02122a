"""A sweep without data, Ray or training: a frame, a plan, and trials that follow a formula."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backbones.inputs import Inputs
from bench.config import DataConfig, TaskConfig, TrialConfig, digest
from bench.run import Report
from bench.sweep.cost.equal import Equal
from bench.sweep.deciding.resolve import Frame, default_params
from bench.sweep.record.journal import Journal
from bench.sweep.record.plan import Plan, SharedFrame, SweepBudget
from bench.sweep.running.drive import give_up_waiting
from bench.sweep.running.engine import Engine
from bench.workloads.echo import SMOKE, WORKLOAD
from leaderboards.measures import Measure
from search_spaces.echo_space import space

SECONDS = {"train": 0.0, "sample": 0.0, "measure": 0.0}


SCORE = Measure(key="fd_fake", title="fd_fake", direction="lower")
TASK = TaskConfig(kind="generate", inputs=Inputs(spatial=(16, 16), channels=1, out_channels=1))


def frame(**changes: Any) -> Frame:
    body: dict[str, Any] = {
        "workload": "echo",
        "scale": SMOKE,
        "data": DataConfig(name="none", digest="0" * 16, simulated=True),
        "task": TASK,
        "metrics": WORKLOAD.metrics,
        "device": "cpu",
        "precision": "float32",
        "threads": 1,
    }
    return Frame(**{**body, **changes})


def plan(*, score: Measure = SCORE, **changes: Any) -> Plan:
    """A plan like make_plan's, as far as the engine reads it."""
    cells = tuple(
        {"architecture": a, "preconditioning": p}
        for p in SMOKE.choices.preconditionings
        for a in SMOKE.choices.architectures
    )
    body: dict[str, Any] = {
        "sweep": "fake-1",
        "workload": "echo",
        "workload_door": "echo",
        "scale": "smoke",
        "scale_digest": digest(dataclasses.asdict(SMOKE)),
        "trials": 30,
        "seed": 0,
        "space": "echo",
        "space_digest": "",
        "search": "tpe",
        "startup_trials": len(cells),
        "prune": True,
        "rungs": SMOKE.rungs,
        "keep": SMOKE.keep,
        "cell_axes": WORKLOAD.cell_axes,
        "cells": cells,
        "defaults": tuple(default_params(SMOKE, cell) for cell in cells),
        "fixed": {},
        "backbones": (),
        "equal": Equal(amount=SMOKE.budget_tflop).record(),
        "concurrency": 1,
        "fixed_concurrency": True,
        "workers": 1,
        "budget": SweepBudget(),
        "frame": SharedFrame(
            data=DataConfig(name="none", digest="0" * 16, simulated=True),
            task=TASK,
            device="cpu",
            precision="float32",
            threads=1,
        ),
        "data": {"name": "none", "digest": "0" * 16, "simulated": True, "notes": []},
        "score": score,
        "measures": (dataclasses.replace(score, key=f"eval/{score.key}"),),
        "protocol": {
            "metric": score.key,
            "direction": score.direction,
            "scale": score.scale,
            "unit": score.unit,
        },
        "protocol_digest": "p" * 16,
        "device": {"device_name": "fake", "cores": 2, "gpus": 0, "text": "fake"},
        "versions": {},
    }
    return Plan(**{**body, **changes})


@dataclass
class World:
    """What survives a driver: how far each trial's checkpoints go. And what trials do."""

    formula: Callable[[TrialConfig, int], float | str]  # a rung's value, or an outcome's name
    rungs_done: dict[int, int] = field(default_factory=dict)
    steps_run: list[tuple[int, int]] = field(default_factory=list)  # (trial, rung) as computed

    def steps(self, number: int, config: TrialConfig) -> Iterator[Report]:
        """A trial's reports from its last checkpoint on, like bench.run.steps."""
        rungs = config.train.rungs_nimg
        for rung in range(self.rungs_done.get(number, 0), len(rungs)):
            self.steps_run.append((number, rung))
            value = self.formula(config, rung)
            if isinstance(value, str):
                yield end(rungs[rung], value, f"{value} at rung {rung}")
                return
            yield Report(phase="progress", nimg=rungs[rung] - 1, metrics={}, seconds=SECONDS)
            self.rungs_done[number] = rung + 1
            yield Report(
                phase="rung",
                nimg=rungs[rung],
                metrics={"rung/fd_fake": value},
                seconds=SECONDS,
                rung=rung,
                value=value,
            )
        yield end(rungs[-1], "completed", "")


def end(nimg: int, outcome: str, cause: str) -> Report:
    return Report(phase="end", nimg=nimg, metrics={}, seconds=SECONDS, outcome=outcome, cause=cause)


def smooth(config: TrialConfig, rung: int) -> float:
    """Best at lr 2e-3; architectures differ; falls from rung to rung."""
    offset = 0.2 * sorted(SMOKE.choices.architectures).index(config.method.backbone)
    return (abs(math.log10(config.train.lr / 2e-3)) + offset + 1) / (rung + 1) + config.seed % 7


def cliff(config: TrialConfig, rung: int) -> float | str:
    """The higher the learning rate the better, and past 4e-3 all diverge."""
    if config.train.lr > 4e-3:
        return "diverged"
    return (1 - math.log10(config.train.lr / 2e-4) / 2) / (rung + 1)


def valley(config: TrialConfig, rung: int) -> float | str:
    """Best at 6e-4, and past 2e-3 all diverge."""
    if config.train.lr > 2e-3:
        return "diverged"
    return abs(math.log10(config.train.lr / 6e-4)) / (rung + 1)


def open_engine(
    folder: Path, body: Plan | None = None, *, journal: Journal | None = None, **changes: Any
) -> Engine:
    """An engine on a journal in `folder`; a new journal gets the plan."""
    opened = journal or Journal(folder / "fake-1" / "journal.jsonl")
    extra: dict[str, Any] = {"frame": frame(), "space": space, "choices": SMOKE.choices}
    engine = Engine(opened, **{**extra, **changes})
    if not opened.records:
        engine.write("plan", **(body or plan()).body())
    return engine


def drive(engine: Engine, world: World, *, at_most: int = 10_000) -> list[int]:
    """Run what the engine hands out, one report of each in turn; the numbers handed out."""
    handed: list[int] = []
    engine.take_up()
    running: dict[int, Iterator[Report]] = {}
    for _ in range(at_most):
        while (trial := engine.next()) is not None:
            config = TrialConfig.from_dict(trial.suggestion.config)
            handed.append(trial.number)
            engine.started(trial.number, "here", 1)
            running[trial.number] = world.steps(trial.number, config)
        if not running:
            break
        for number, reports in list(running.items()):
            if engine.reported(number, next(reports)):
                del running[number]
    if engine.complete:
        give_up_waiting(engine)
    return handed


def finished(folder: Path, world: World, **changes: Any) -> Engine:
    """A whole sweep, driven to its end."""
    engine = open_engine(folder, plan(**changes))
    drive(engine, world)
    return engine
