"""Figure 1 of the echo paper: quality against the number of network evaluations.

One network, drawn from by every sampler, grid and process there is, in more and more steps. The
paper reports NFE 59 (30 steps of Heun) and says that FID falls until 35 evaluations and is flat
afterwards. All points draw from common noise, so each is compared with its curve's last one by the
jackknife of their difference; nothing is chosen here, the ways are only shown. A curve is flat from
the first count on from which all points surely are within ALIKE of the last. The floor is what
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
from bench.metrics.jackknife import paired_reach
from bench.nonfinite import NonFiniteError
from bench.studies.one_network import one_network
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
from leaderboards.references import FLOOR

EVALUATIONS = (5, 9, 15, 25, 35, 59, 79)
PAPERS_NFE = 35
ALIKE = 0.05  # of the score: a curve that moves by less is flat


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
    """One way in one number of evaluations: the score, its standard error, and the score without
    each block of the pictures."""

    way: Way
    steps: int
    nfe: int
    score: float
    se: float
    without: tuple[float, ...] = ()

    def above(self, other: Point) -> tuple[float, float]:
        """The difference to another point, and how far its 95 % interval reaches to either side:
        paired, nan where unknown."""
        return self.score - other.score, paired_reach(self.without, other.without)


class NfeCurve(Study):
    name: ClassVar[str] = "nfe-curve"
    title: ClassVar[str] = "how many network evaluations does a picture need?"
    workloads: ClassVar[frozenset[str]] = frozenset({"echo"})
    of_network: ClassVar[bool] = True

    def answer(self, setting: Setting) -> Answer:
        trained = yield from one_network(setting)
        score = trained.task.score
        points = [
            point
            for way in ways(trained)
            for count in EVALUATIONS
            if (point := _measured(setting, trained, way, count)) is not None
        ]
        floors = (r.values for r in trained.task.references() if r.key == FLOOR)
        floor = next((values.get(f"eval/{score.key}") for values in floors), None)
        curves = {
            way: [p for p in points if p.way == way] for way in dict.fromkeys(p.way for p in points)
        }
        samples = trained.config.measure.n_report
        flat = {way: flattens(curve) for way, curve in curves.items()}
        return Findings(
            lines=(
                f"one network ({trained.name}, {trained.nimg / 1000:.3g} kimg), "
                f"{samples} pictures a point, common noise"
                + ("" if floor is None else f"; {score.title} of the floor {floor:.3g}"),
                *(
                    f"{way.text}: "
                    + (
                        "not shown to be flat"
                        if count is None
                        else f"flat (within {ALIKE:.0%}) from {count} evaluations on"
                    )
                    for way, count in flat.items()
                ),
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
            claims=_claims(curves),
            facts={"floor": floor, "trial": trained.name},
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
        sampler=way.sampler, grid=way.grid, process=way.process, steps=steps, S_churn=0.0, eta=0.0
    )
    key = f"nfe-{way.sampler}-{way.grid}-{way.process}-{steps}"

    def measure() -> dict[str, Any] | None:
        setting.say(f"{way.text}: {steps} steps")
        try:
            judged = trained.judged("report", sample)
        except NonFiniteError as error:
            setting.say(f"note: {way.text} in {steps} steps: {error}")
            return None
        score, metrics = trained.task.score, judged["metrics"]
        return {
            "score": metrics[score.key],
            "se": metrics.get(score.se_key),
            "without": judged["without"],
        }

    measured = setting.kept.numbers(key, measure)
    if measured is None:
        return None
    return Point(
        way=way,
        steps=steps,
        nfe=nfe(way.sampler, steps),
        score=measured["score"],
        se=measured["se"] or math.nan,
        without=tuple(measured["without"]),
    )


def flattens(curve: Sequence[Point]) -> int | None:
    """The evaluations from which on every score surely is within ALIKE of the last; None where that
    is shown of none before it."""
    last = curve[-1]
    apart = [point.above(last) for point in curve[:-1]]
    within = [abs(change) + reach < ALIKE * last.score for change, reach in apart]
    return next((p.nfe for k, p in enumerate(curve[:-1]) if all(within[k:])), None)


def _claims(curves: dict[Way, list[Point]]) -> tuple[Claim, ...]:
    """Of Heun's curve, which is the paper's sampler: still falling before 35, flat from there."""
    curve = curves.get(Way(sampler="heun", grid="edm", process="sigma"), [])
    early = [p for p in curve if p.nfe < PAPERS_NFE]
    late = [p for p in curve if p.nfe >= PAPERS_NFE]
    if not early or len(late) < 2:
        return ()
    last, alike = late[-1], ALIKE * late[-1].score
    before, reach = early[-1].above(last)
    after = [p.above(last) for p in late[:-1]]
    falls = before - reach > 0
    flat = all(abs(change) + far < alike for change, far in after)
    flat_before = abs(before) + reach < alike
    moves = any(abs(change) - far > alike for change, far in after)
    verdict = FAILS if flat_before or moves else HOLDS if falls and flat else OPEN
    told = ", ".join(f"{p.nfe}: {p.score:.3g}" for p in curve)
    return (
        Claim(
            text="the distance falls until 35 evaluations of Heun's sampler and is flat afterwards",
            verdict=verdict,
            evidence=f"by evaluations {told}; {early[-1].nfe} is {before:+.2g} +- "
            f"{reach:.2g} above {last.nfe} (flat: within {ALIKE:.0%})",
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
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5.5), layout="constrained")
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
