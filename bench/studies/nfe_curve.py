"""Figure 1 of the echo paper: quality against the number of network evaluations.

One network, drawn from by every sampler, grid and process there is, in more and more steps, from
common noise. The paper reports NFE 59 (30 steps of Heun) and says that FID falls until 35
evaluations and is flat afterwards. A curve has flattened at the first count from which on no
distance is above the lowest by more than twice the error of the two together; the floor is what
other subjects' real pictures score.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from bench.diffusion import preconditioning
from bench.diffusion.grids import GRID_KINDS, sigma_grid
from bench.diffusion.process import PROCESS_KINDS
from bench.diffusion.samplers import SAMPLERS, nfe
from bench.errors import BenchError
from bench.nonfinite import NonFiniteError
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
from bench.studies.table1_study import arm, cell_of
from bench.studies.trained import Trained
from bench.workloads.workload import Scale
from leaderboards.references import FLOOR

EVALUATIONS = (5, 9, 15, 25, 35, 59, 79)
PAPERS_NFE = 35
TOGETHER = 2.0  # standard errors that a difference must exceed


@dataclass(frozen=True, kw_only=True)
class Way:
    """A sampler on a grid in a process."""

    sampler: str
    grid: str
    process: str

    @property
    def text(self) -> str:
        return f"{self.sampler}, {self.grid} grid, {self.process} process"


@dataclass(frozen=True, kw_only=True)
class Point:
    """One way in one number of evaluations: the score and its standard error."""

    way: Way
    steps: int
    nfe: int
    score: float
    se: float


class NfeCurve(Study):
    name: ClassVar[str] = "nfe-curve"
    title: ClassVar[str] = "how many network evaluations does a picture need?"
    workloads: ClassVar[frozenset[str]] = frozenset({"echo"})

    def budget(self, scale: Scale) -> None:
        return None

    def answer(self, setting: Setting) -> Answer:
        (ran,) = yield (arm(setting, cell_of(setting), setting.seed),)
        trained = Trained.of(ran)
        score = trained.task.score
        points = [
            point
            for way in ways(trained)
            for count in EVALUATIONS
            if (point := _measured(setting, trained, way, count)) is not None
        ]
        floor = next((r.score(score) for r in trained.task.references() if r.key == FLOOR), None)
        curves = {
            way: [p for p in points if p.way == way] for way in dict.fromkeys(p.way for p in points)
        }
        flat = {way: flattens(curve) for way, curve in curves.items()}
        lowest = min(points, key=lambda p: p.score)
        return Findings(
            lines=(
                f"one network ({ran.arm.name}, {ran.config.train.budget_nimg / 1000:.3g} kimg), "
                f"{trained.config.measure.n_report} pictures a point, common noise: lowest "
                f"{score.title} {lowest.score:.3g} +- {lowest.se:.2g} by {lowest.way.text} in "
                f"{lowest.nfe} evaluations"
                + ("" if floor is None else f"; floor (other subjects) {floor:.3g}"),
                *(f"{way.text}: flat from {count} evaluations on" for way, count in flat.items()),
                "the paper: falls until 35 evaluations, flat afterwards; it reports 59",
            ),
            tables=(
                Table(
                    name="nfe_curve",
                    title=f"{score.title} against network evaluations",
                    columns=(
                        "sampler",
                        "grid",
                        "process",
                        "steps",
                        "NFE",
                        score.title,
                        "se",
                        "flat from",
                    ),
                    rows=[
                        (
                            p.way.sampler,
                            p.way.grid,
                            p.way.process,
                            p.steps,
                            p.nfe,
                            p.score,
                            p.se,
                            flat[p.way],
                        )
                        for p in points
                    ],
                ),
            ),
            pictures=(
                Picture(
                    name="nfe_curve",
                    draw=partial(
                        _draw, curves=curves, floor=floor, title=score.title, label=setting.label
                    ),
                ),
            ),
            claims=_claims(curves, flat),
            facts={"floor": floor, "trial": ran.arm.name},
        )


def ways(trained: Trained) -> Iterator[Way]:
    """Every sampler on every grid in every process, those that are the same for this setup once."""
    method = trained.config.method
    precond = preconditioning.build(
        method.preconditioning,
        sigma_data=trained.config.task.sigma_data,
        **method.preconditioning_args,
    )
    own_is_edm = _same_grid(precond)
    process = precond.own_process()
    own_is_sigma = all(process.time(s) == s and process.scale(s) == 1.0 for s in (0.1, 1.0, 10.0))
    for sampler in SAMPLERS.table:
        for grid in GRID_KINDS:
            for kind in PROCESS_KINDS:
                if (grid == "own" and own_is_edm) or (kind == "own" and own_is_sigma):
                    continue
                yield Way(sampler=sampler, grid=grid, process=kind)


def _same_grid(precond: Any) -> bool:
    try:
        shared, own = (sigma_grid(precond, 7, kind=kind) for kind in GRID_KINDS)
    except BenchError:
        return False
    return bool(np.allclose(shared, own))


def _measured(setting: Setting, trained: Trained, way: Way, count: int) -> Point | None:
    """The score in at most `count` evaluations; None where the way has no such number."""
    steps = max((n for n in range(2, count + 1) if nfe(way.sampler, n) <= count), default=0)
    if not steps:
        return None
    sample = trained.sampled(
        sampler=way.sampler, grid=way.grid, process=way.process, steps=steps, S_churn=0.0
    )
    key = f"nfe-{way.sampler}-{way.grid}-{way.process}-{steps}"

    def measure() -> dict[str, float | None]:
        setting.say(f"{way.text}: {steps} steps")
        try:
            metrics = trained.evaluate("report", sample).metrics
        except (BenchError, NonFiniteError) as error:
            setting.say(f"note: {way.text} in {steps} steps: {error}")
            return {"score": None, "se": None}
        score = trained.task.score
        return {"score": metrics[score.key], "se": metrics.get(score.se_key)}

    found = setting.kept.numbers(key, measure)
    if found["score"] is None:
        return None
    return Point(
        way=way,
        steps=steps,
        nfe=nfe(way.sampler, steps),
        score=found["score"],
        se=found["se"] or math.nan,
    )


def flattens(curve: Sequence[Point]) -> int | None:
    """The evaluations from which on no score is above the lowest by more than twice their error."""
    lowest = min(curve, key=lambda p: p.score)
    within = [
        p.score - lowest.score <= TOGETHER * math.hypot(p.se, lowest.se) or p is lowest
        for p in curve
    ]
    first = next((k for k in range(len(curve)) if all(within[k:])), None)
    return None if first is None else curve[first].nfe


def _claims(curves: dict[Way, list[Point]], flat: dict[Way, int | None]) -> tuple[Claim, ...]:
    """Of Heun's curve, which is the paper's sampler."""
    way = Way(sampler="heun", grid="edm", process="sigma")
    if way not in curves:
        return ()
    where = flat[way]
    verdict = OPEN if where is None else HOLDS if where in (25, PAPERS_NFE) else FAILS
    told = ", ".join(f"{p.nfe}: {p.score:.3g} +- {p.se:.2g}" for p in curves[way])
    return (
        Claim(
            text="the distance falls until 35 evaluations of Heun's sampler and is flat afterwards",
            verdict=verdict,
            evidence=f"flat from {where} evaluations on ({told})",
        ),
    )


def _draw(
    path: Path,
    *,
    curves: dict[Way, list[Point]],
    floor: float | None,
    title: str,
    label: str,
) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for way, curve in curves.items():
        style = {"sigma": "-", "own": "--"}[way.process]
        axes.errorbar(
            [p.nfe for p in curve],
            [p.score for p in curve],
            yerr=[p.se for p in curve],
            fmt=f"o{style}",
            markersize=3,
            capsize=2,
            label=way.text,
        )
    if floor is not None:
        axes.axhline(floor, color="grey", linestyle=":", label="floor: other subjects' pictures")
    axes.axvline(35, color="lightgrey", linewidth=0.8)
    axes.annotate("35: flat in the paper", (35, 0.97), xycoords=("data", "axes fraction"), va="top")
    axes.set(yscale="log", xlabel="network evaluations a picture", ylabel=title, title=label)
    axes.legend(fontsize="small")
    figure.savefig(path, dpi=110, format="png")


STUDY = NfeCurve()
