"""Table 1 of the echo paper: every architecture in every setup, at an equal budget.

Reynaud and Kainz 2023 trained ADM, DDPM++ and NCSN++ in the EDM, VP and VE setups for 24 hours
each on 8 A40, with the authors' defaults, 5 % dropout and no augmentation, sampled all with EDM's
sampler in 30 steps, and reported FID, images seen and parameters. Here the same cells train for
equal device-seconds (`--equal flops` or `nimg`: another equality), each from several seeds, so that
differences have intervals, which the paper's have not. Its numbers stand beside as they were
published, never ranked with ours: another extractor, another resolution of judging.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from bench.studies.seed_means import SeedMean, mean_of
from bench.studies.study import (
    FAILS,
    HOLDS,
    OPEN,
    Answer,
    Arm,
    Claim,
    Findings,
    Picture,
    Ran,
    Setting,
    Study,
    Table,
)
from bench.sweep.cost.price import cost
from bench.sweep.deciding.resolve import default_params
from bench.tasks import build_task
from bench.workloads.workload import Scale

ARCHITECTURES = ("adm", "ddpmpp", "ncsnpp")
SETUPS = ("edm", "vp", "ve")
SEEDS = 3
AUTHORS = {"optimizer": "adam", "schedule": "constant", "dropout": 0.05}
Means = dict[tuple[str, str], SeedMean | None]
PAPER = {("adm", "edm"): "3.75 (FID, NFE 59; Reynaud and Kainz 2023)"}


class TableOne(Study):
    name: ClassVar[str] = "table1"
    title: ClassVar[str] = "which architecture, in which setup, at an equal budget?"
    workloads: ClassVar[frozenset[str]] = frozenset({"echo"})
    equal: ClassVar[str] = "gpu-seconds"
    settings: ClassVar[tuple[str, ...]] = ("sampler=heun", "steps=18")

    def budget(self, scale: Scale) -> None:
        return None

    def answer(self, setting: Setting) -> Answer:
        cells = [(a, p) for a in ARCHITECTURES for p in SETUPS]
        ran = yield tuple(
            arm(setting, cell, setting.seed + k)
            for k in range(setting.seeds or SEEDS)
            for cell in cells
        )
        return findings(setting, ran, self.title, PAPER)


def arm(setting: Setting, cell: tuple[str, str], seed: int, **tuned: Any) -> Arm:
    """A cell's authors' defaults, or what it was tuned to."""
    architecture, setup = cell
    named = {"architecture": architecture, "preconditioning": setup}
    params = {**default_params(setting.scale, named, "adam"), **AUTHORS}
    params.pop("weighting", None)  # the authors' own is every setup's default
    return Arm(
        name=f"{architecture}-{setup}, seed {seed}",
        why="the authors' defaults" if not tuned else "tuned",
        params={**params, **tuned},
        seed=seed,
    )


def cell_of(setting: Setting) -> tuple[str, str]:
    """The paper's best cell, or as much of it as the user's --set leaves."""
    fixed = setting.frame.fixed
    return str(fixed.get("architecture", "adm")), str(fixed.get("preconditioning", "edm"))


def findings(
    setting: Setting, ran: Sequence[Ran], title: str, paper: dict[tuple[str, str], str]
) -> Findings:
    """Rows as the paper lays them out: a cell each, then who can be told from the best."""
    by_cell: dict[tuple[str, str], list[Ran]] = {}
    for trial in ran:
        params = trial.arm.params
        by_cell.setdefault((params["architecture"], params["preconditioning"]), []).append(trial)
    score = build_task(ran[0].config).score
    means = {cell: mean_of(trials, score) for cell, trials in by_cell.items()}
    rows = [
        (
            *cell,
            *_values(means[cell]),
            len(trials),
            float(np.mean([t.config.train.budget_nimg for t in trials])) / 1000,
            cost(trials[0].config.task, trials[0].config.method).parameters / 1e6,
            paper.get(cell, "-"),
        )
        for cell, trials in by_cell.items()
    ]
    return Findings(
        lines=(_verdict(means, score.title), *_failed(by_cell)),
        tables=(
            Table(
                name="table1",
                title=f"{title} {score.title}, geometric mean over seeds and its 95 % interval",
                columns=(
                    *("architecture", "setup", score.title, "low", "high", "seeds"),
                    *("kimg", "parameters (M)", "paper's, not ranked"),
                ),
                rows=rows,
            ),
        ),
        pictures=(
            Picture(
                name="table1",
                draw=partial(draw, means=means, title=score.title, label=setting.label),
            ),
        ),
        claims=_claims(means, score.title),
        facts={"equal": setting.frame.budget.text},
    )


def _values(mean: SeedMean | None) -> tuple[float | None, float | None, float | None]:
    return (None, None, None) if mean is None else (mean.value, mean.low, mean.high)


def _verdict(means: Means, title: str) -> str:
    known = {cell: mean for cell, mean in means.items() if mean is not None}
    if not known:
        return "no trial completed"
    best = min(known, key=lambda cell: known[cell].value)
    if any(len(mean.values) < 2 for mean in known.values()):
        return (
            f"lowest {title}: {'-'.join(best)}, {known[best].text}; nothing is told of cells that "
            "were trained from one seed: give more --seeds"
        )
    apart = [cell for cell in known if cell != best and known[cell].surely_above(known[best])]
    alike = [cell for cell in known if cell != best and cell not in apart]
    named = ", ".join("-".join(cell) for cell in alike)
    told = f"{len(apart)} of the other {len(known) - 1} cells are told from it"
    more = f"; not {named}" if alike else ""
    return f"lowest {title}: {'-'.join(best)}, {known[best].text}; {told}{more}"


def _claims(means: Means, title: str) -> tuple[Claim, ...]:
    """What the table says of the paper's."""
    edm = {a: mean for (a, s), mean in means.items() if s == "edm" and mean is not None}
    others = [mean for (_, s), mean in means.items() if s != "edm" and mean is not None]
    if "adm" not in edm or not others:
        return ()
    adm, best = edm["adm"], min(edm.values(), key=lambda mean: mean.value)
    beaten = [a for a, mean in edm.items() if a != "adm" and mean.surely_above(adm)]
    if len(beaten) == len(edm) - 1 and beaten:
        first = HOLDS
    else:
        first = FAILS if adm.surely_above(best) else OPEN
    shown = ", ".join(f"{a} {mean.text}" for a, mean in edm.items())
    worst_edm = max(edm.values(), key=lambda mean: mean.value)
    above = sum(mean.surely_above(worst_edm) for mean in others)
    second = HOLDS if above == len(others) else OPEN
    if any(worst_edm.surely_above(mean) for mean in others):
        second = FAILS
    nearest = min(others, key=lambda mean: mean.value)
    return (
        Claim(
            text="ADM with EDM is the best of the nine",
            verdict=first,
            evidence=f"{title} in the EDM setup: {shown}",
        ),
        Claim(
            text="VP and VE are drastically worse than EDM",
            verdict=second,
            evidence=f"{above} of {len(others)} VP and VE cells are surely above the worst EDM "
            f"cell, {worst_edm.text}; the nearest has {nearest.text}",
        ),
    )


def _failed(by_cell: dict[tuple[str, str], list[Ran]]) -> list[str]:
    return [
        f"{trial.arm.name}: {trial.outcome}, {trial.cause}"
        for trials in by_cell.values()
        for trial in trials
        if trial.outcome != "completed"
    ]


def draw(
    path: Path,
    *,
    means: Means,
    title: str,
    label: str,
) -> None:
    """Every cell's mean and interval, setups side by side."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    architectures = list(dict.fromkeys(a for a, _ in means))
    for shift, setup in enumerate(dict.fromkeys(s for _, s in means)):
        there = [(k, means.get((a, setup))) for k, a in enumerate(architectures)]
        known = [(k + 0.2 * (shift - 1), mean) for k, mean in there if mean is not None]
        axes.errorbar(
            [k for k, _ in known],
            [mean.value for _, mean in known],
            yerr=np.array([[m.value - m.low, m.high - m.value] for _, m in known]).T,
            fmt="o",
            capsize=3,
            label=setup,
        )
    axes.set_xticks(range(len(architectures)), architectures)
    axes.set(yscale="log", ylabel=title, title=f"mean over seeds, 95 % interval ({label})")
    axes.legend(title="setup")
    figure.savefig(path, dpi=110, format="png")


STUDY = TableOne()
