"""Recorded trials that follow a formula: what a search can find is known."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bench.workloads.echo import SMOKE, WORKLOAD
from tests.measure.record_trials import RUNGS, Drawn, seeds_of
from tests.measure.trial_table import Layout, Recorded, Table
from tests.unit.sweep import fakes

SCORE = "fd_randconv"
SETS = ("simulated",)


def drawn() -> Drawn:
    """Configurations of the smoke scale's space, with the rungs of a recording."""
    scale = dataclasses.replace(
        SMOKE, rungs=RUNGS, keep=(0.25, 0.25), budget_tflop=0.02, data={"size": (16, 16)}
    )
    return Drawn(fakes.frame(scale=scale), "echo", WORKLOAD.cell_axes)


def log_score(params: Mapping[str, Any]) -> float:
    """Best at lr 2e-3 and width wide; architectures and preconditionings differ."""
    return (
        3.0
        + 0.8 * math.log10(params["lr"] / 2e-3) ** 2
        + 0.15 * sorted(SMOKE.choices.architectures).index(params["architecture"])
        + 0.2 * SMOKE.choices.preconditionings.index(params["preconditioning"])
        + 0.1 * ("narrow", "default", "wide")[::-1].index(params["width"])
        + params["dropout"]
    )


def write_table(path: Path, *, count: int, own: float = 0.0, shared: float = 0.0) -> Path:
    """`own`, `shared`: standard deviations of what a training and what a seed adds to all rungs."""
    configurations, draw = drawn(), np.random.default_rng(2)
    layout = Layout(params=tuple(configurations.space), score=SCORE, rungs=len(RUNGS))
    table = Table(path, layout, configurations.provenance(SCORE))
    table.begin({}, dict.fromkeys(SETS, "synthetic"))
    of_seed = shared * draw.standard_normal(3)
    for number in range(count):
        params = configurations.params(number)
        for seed in seeds_of(number):
            moved = of_seed[seed] + own * draw.standard_normal()
            values = [
                math.exp(log_score(params) - math.log(share) / 3 + moved) for share in (*RUNGS, 1)
            ]
            table.append(
                Recorded(
                    data=SETS[0], number=number, seed=seed, params=params, outcome="completed",
                    parameters=1, nimg=64, tflop=0.02, train_sec=10.0, all_sec=14.0,
                    rungs=tuple({SCORE: value} for value in values[:-1]), rung_nimg=(4, 16, 64),
                    rung_train_sec=(0.6, 2.5, 10.0), rung_all_sec=(1.6, 4.5, 13.0),
                    report={SCORE: values[-1], f"{SCORE}_se": 0.0},
                )
            )  # fmt: skip
    return path
