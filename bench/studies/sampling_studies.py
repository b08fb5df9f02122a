"""What drawing a segmentation is worth: how many samples of a case are averaged, and which solver.

Both are about one trained network (`--of` a sweep's) on the report part, with common noise, so that
differences are paired by case: smaller ensembles are the first samples of the largest. PatchDDM
reports Dice .888 of one sample and .899 of an ensemble,
drawn by DDIM in 20 steps, and leaves Heun's solver open (its question 2): here Euler (DDIM's steps
without noise) stands against Heun at equal network evaluations.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from scipy import stats

from bench.config import SampleConfig
from bench.diffusion.samplers import nfe
from bench.metrics.case_means import means_by_case
from bench.metrics.segmentation import dice_in
from bench.predictions import Predictions, Predictor
from bench.studies.segmentation_arms import WORKLOADS, one_segmenter, with_samples
from bench.studies.study import (
    FAILS,
    HOLDS,
    OPEN,
    Answer,
    Claim,
    Findings,
    Picture,
    Setting,
    Study,
    Table,
)
from bench.studies.trained import Trained
from bench.tasks.task import Task

SAMPLES = (1, 3, 5, 9)
EVALUATIONS = (3, 5, 9, 15, 21, 41)
SOLVERS = ("euler", "heun")
FIVE = 5
PAPERS = "the document: .888 of one sample, .899 of an ensemble whose size it does not give"
LEVEL = 0.95
Drawn = tuple[Predictor, Predictions]


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One way to draw: its metrics, the Dice of each case, what else was asked of its answers."""

    name: str
    metrics: dict[str, float]
    dice: tuple[float, ...]
    sec: float  # of drawing
    beside: dict[str, float]

    @property
    def columns(self) -> tuple[float | None, ...]:
        """What stands in the table under COLUMNS."""
        return tuple(self.metrics.get(key) for key in KEYS)

    def above(self, other: Judged) -> tuple[float, float]:
        """The mean difference to another way, and how far its 95 % interval reaches: paired by
        case; nan from one case."""
        gaps = np.subtract(self.dice, other.dice)
        if len(gaps) < 2:
            return float(gaps.mean()), math.nan
        width = float(stats.t.ppf((1 + LEVEL) / 2, len(gaps) - 1))
        return float(gaps.mean()), width * float(gaps.std(ddof=1)) / math.sqrt(len(gaps))


class EnsembleSize(Study):
    name: ClassVar[str] = "ensemble"
    title: ClassVar[str] = "what are several samples of a case worth?"
    workloads: ClassVar[frozenset[str]] = WORKLOADS
    of_network: ClassVar[bool] = True

    def answer(self, setting: Setting) -> Answer:
        trained = yield from one_segmenter(setting)
        most_samples = with_samples(trained, SAMPLES[-1])
        drawn = cache(partial(drawn_by, trained, most_samples))
        ways = {
            count: judged(
                setting, f"{count} of {SAMPLES[-1]}", with_samples(trained, count),
                partial(first_of, drawn, SAMPLES[-1], count),
            )
            for count in SAMPLES
        }  # fmt: skip
        single = ways[SAMPLES[0]]
        most = ways[SAMPLES[-1]]
        gain, reach = most.above(single)
        rows = [(count, *way.columns, *way.above(single)) for count, way in ways.items()]
        five, its_reach = ways[FIVE].above(single)
        return Findings(
            lines=(
                about(trained),
                f"Dice of {SAMPLES[-1]} samples minus that of one: {gain:+.4f} +- {reach:.4f} "
                "(95 %, paired by case)",
                PAPERS,
            ),
            tables=(
                Table(
                    name=self.name,
                    title="quality against samples a case",
                    columns=("samples", *COLUMNS, "gain", "+-"),
                    rows=rows,
                ),
            ),
            pictures=(
                dice_picture(self.name, setting, "samples of a case", {"samples averaged": ways}),
            ),
            claims=(
                Claim(
                    text="an ensemble of samples has a higher Dice than one",
                    verdict=HOLDS if five > its_reach else FAILS if five < -its_reach else OPEN,
                    evidence=f"{FIVE} samples: {five:+.4f} +- {its_reach:.4f} over "
                    f"{len(single.dice)} cases",
                ),
            ),
        )


class Solver(Study):
    name: ClassVar[str] = "solver"
    title: ClassVar[str] = "Euler or Heun, at equal network evaluations?"
    workloads: ClassVar[frozenset[str]] = WORKLOADS
    of_network: ClassVar[bool] = True

    def answer(self, setting: Setting) -> Answer:
        trained = yield from one_segmenter(setting)
        ways = {
            (solver, count): judged(
                setting, f"{solver}-{count}", trained.task,
                partial(drawn_by, trained, trained.task, steps_of(trained, solver, count)),
            )
            for solver in SOLVERS
            for count in EVALUATIONS
        }  # fmt: skip
        rows = [
            (
                solver,
                count,
                *way.columns,
                *(way.above(ways[SOLVERS[0], count]) if solver != SOLVERS[0] else (None, None)),
            )
            for (solver, count), way in ways.items()
        ]
        fewest = EVALUATIONS[1]
        gain, reach = ways["heun", fewest].above(ways["euler", fewest])
        return Findings(
            lines=(
                about(trained),
                f"Dice by Heun minus by Euler at {fewest} evaluations: {gain:+.4f} +- {reach:.4f} "
                "(95 %, paired by case)",
            ),
            tables=(
                Table(
                    name=self.name,
                    title="quality against network evaluations",
                    columns=("solver", "NFE", *COLUMNS, "above Euler", "+-"),
                    rows=rows,
                ),
            ),
            pictures=(
                dice_picture(
                    self.name,
                    setting,
                    "network evaluations of a sample",
                    {s: {c: ways[s, c] for c in EVALUATIONS} for s in SOLVERS},
                ),
            ),
        )


COLUMNS = ("Dice", "se", "HD95 mm", "expected calibration error")
KEYS = ("dice", "dice_se", "hd95", "ece")


def drawn_by(trained: Trained, task: Task, sample: SampleConfig | None = None) -> Drawn:
    """What the network answers on the report part."""
    predictor = trained.predictor(sample)
    return predictor, predictor.predict(task.cases("report"))


def first_of(drawn: Callable[[], Drawn], samples: int, count: int) -> Drawn:
    """The first `count` of the `samples` answers of each case."""
    predictor, predictions = drawn()
    by_case = predictions.values.reshape(-1, samples, *predictions.values.shape[1:])
    first = by_case[:, :count].reshape(-1, *predictions.values.shape[1:])
    return predictor, dataclasses.replace(predictions, values=first)


def judged(
    setting: Setting,
    key: str,
    task: Task,
    draw: Callable[[], Drawn],
    beside: Callable[[Predictions], dict[str, float]] = lambda predictions: {},
) -> Judged:
    """What was drawn of the report part, judged, and what `beside` says of it; worked out once."""
    setting.say(f"drawing: {key}")

    def work() -> dict[str, Any]:
        start = time.perf_counter()
        predictor, predictions = draw()
        seconds = time.perf_counter() - start
        evidence = task.evidence(predictor, "report", predictions)
        return {
            "metrics": task.estimates(evidence),
            "dice": means_by_case(dice_in(evidence), evidence).tolist(),
            "sec": seconds,
            "beside": beside(predictions),
        }

    kept = setting.kept.numbers(f"drawn-{key}", work)
    return Judged(name=key, **{**kept, "dice": tuple(kept["dice"])})


def steps_of(trained: Trained, solver: str, evaluations: int) -> SampleConfig:
    """The trial's sampling by another solver, in as many steps as evaluations allow."""
    steps = max(n for n in range(2, evaluations + 1) if nfe(solver, n) <= evaluations)
    return trained.sampled(sampler=solver, steps=steps)


def dice_picture(
    name: str, setting: Setting, xlabel: str, lines: Mapping[str, Mapping[int, Judged]]
) -> Picture:
    """Dice against a number, a line each."""
    curves = {line: {x: w.metrics["dice"] for x, w in ways.items()} for line, ways in lines.items()}
    return Picture(name=name, draw=partial(draw, curves=curves, xlabel=xlabel, label=setting.label))


def draw(path: Path, *, curves: dict[str, dict[int, float]], xlabel: str, label: str) -> None:
    """Dice against a number, a line each."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot()
    for name, curve in curves.items():
        axes.plot(list(curve), list(curve.values()), "o-", label=name)
    ticks: Sequence[int] = sorted({x for curve in curves.values() for x in curve})
    axes.set(xscale="log", xlabel=xlabel, ylabel="Dice", title=f"one network ({label})")
    axes.set_xticks(ticks, [str(x) for x in ticks])
    axes.minorticks_off()
    axes.legend()
    figure.savefig(path, dpi=110, format="png")


def about(trained: Trained) -> str:
    cases = trained.task.cases("report").count
    return (
        f"one network ({trained.name}, {trained.nimg} training patches), {cases} cases of report, "
        "common noise"
    )


ENSEMBLE, SOLVER = EnsembleSize(), Solver()
