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

from bench.studies.seed_means import SeedMean, mean_of, surely, told_from
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
from bench.sweep.deciding.parameters import noise_keys
from bench.sweep.deciding.resolve import default_params
from bench.tasks import build_task

ARCHITECTURES = ("adm", "ddpmpp", "ncsnpp")
SETUPS = ("edm", "vp", "ve")
SEEDS = 3
AXES = ("architecture", "preconditioning")
DRASTICALLY = 1.5  # times the distance
AUTHORS: dict[str, Any] = {"optimizer": "adam", "schedule": "constant", "dropout": 0.05}
Means = dict[tuple[str, str], SeedMean | None]
PAPER = {("adm", "edm"): "3.75 (FID, NFE 59; Reynaud and Kainz 2023)"}


class TableOne(Study):
    name: ClassVar[str] = "table1"
    title: ClassVar[str] = "which architecture, in which setup, at an equal budget?"
    workloads: ClassVar[frozenset[str]] = frozenset({"echo"})
    equal: ClassVar[str] = "gpu-seconds"
    settings: ClassVar[tuple[str, ...]] = ("sampler=heun", "steps=18")

    def answer(self, setting: Setting) -> Answer:
        cells = [(a, p) for a in ARCHITECTURES for p in SETUPS]
        ran = yield tuple(
            arm(setting, cell, setting.seed + k)
            for k in range(setting.seeds or SEEDS)
            for cell in cells
        )
        return findings(setting, cells, ran, self.title, PAPER)


def arm(setting: Setting, cell: tuple[str, str], seed: int) -> Arm:
    """A cell with its authors' defaults, at this scale's width and learning rate of Adam."""
    named = dict(zip(AXES, cell, strict=True))
    params = {**default_params(setting.scale, named, AUTHORS["optimizer"]), **AUTHORS}
    if "weighting" in noise_keys(cell[1]):
        params["weighting"] = "authors"  # a scale may have another for its own sweeps
    return Arm(
        name=f"{'-'.join(cell)}, seed {seed}", why="the authors' defaults", params=params, seed=seed
    )


def cell_of(setting: Setting) -> tuple[str, str]:
    """The paper's best cell, or as much of it as the user's --set leaves."""
    fixed = setting.frame.fixed
    return str(fixed.get("architecture", "adm")), str(fixed.get("preconditioning", "edm"))


def findings(
    setting: Setting,
    cells: Sequence[tuple[str, str]],
    ran: Sequence[Ran],
    title: str,
    paper: dict[tuple[str, str], str],
) -> Findings:
    """Rows as the paper lays them out: a cell each, then who can be told from the best. cells: all
    that were asked for, of which some may have come to nothing before."""
    by_cell: dict[tuple[str, str], list[Ran]] = {}
    for trial in ran:
        params = trial.arm.params
        by_cell.setdefault((params["architecture"], params["preconditioning"]), []).append(trial)
    score = build_task(ran[0].config).score
    means: Means = dict.fromkeys(cells)
    means |= {cell: mean_of(trials, score) for cell, trials in by_cell.items()}
    rows = [
        (
            *cell,
            *_values(means[cell]),
            f"{sum(t.outcome == 'completed' for t in trials)} of {len(trials)}",
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
    if any(len(mean.by_seed) < 2 for mean in known.values()):
        return (
            f"lowest {title}: {'-'.join(best)}, {known[best].text}; nothing is told of cells that "
            "were trained from one seed: give more --seeds"
        )
    logs = {cell: np.log(list(mean.by_seed.values())).tolist() for cell, mean in known.items()}
    apart = told_from(best, logs)
    named = ", ".join("-".join(cell) for cell in known if cell != best and cell not in apart)
    told = f"{len(apart)} of the other {len(known) - 1} cells are told from it"
    more = f"; not {named}" if named else ""
    return f"lowest {title}: {'-'.join(best)}, {known[best].text}; {told}{more}"


def _claims(means: Means, title: str) -> tuple[Claim, ...]:
    """What the table says of the paper's."""
    known = {cell: mean for cell, mean in means.items() if mean is not None}
    if ("adm", "edm") not in known or len(means) < 2:
        return ()
    best, whole = known["adm", "edm"], len(known) == len(means)
    others = [mean for cell, mean in known.items() if cell != ("adm", "edm")]
    above = surely([mean.above_p(best) for mean in others])
    below = surely([best.above_p(mean) for mean in others])
    first = FAILS if any(below) else HOLDS if whole and all(above) else OPEN
    shown = ", ".join(f"{'-'.join(cell)} {mean.text}" for cell, mean in known.items())
    pairs = [
        (mean, known[architecture, "edm"])
        for (architecture, setup), mean in known.items()
        if setup != "edm" and (architecture, "edm") in known
    ]
    worse = surely([mean.above_p(edm, DRASTICALLY) for mean, edm in pairs])
    less = surely([edm.above_p(mean, 1 / DRASTICALLY) for mean, edm in pairs])
    second = FAILS if any(less) else HOLDS if whole and pairs and all(worse) else OPEN
    ratios = ", ".join(f"{mean.value / edm.value:.2g}" for mean, edm in pairs)
    return (
        Claim(
            text="ADM with EDM is the best of the nine",
            verdict=first,
            evidence=f"{title}: {shown}; {sum(above)} of {len(others)} others surely above",
        ),
        Claim(
            text=f"VP and VE are drastically (over {DRASTICALLY:g} times) worse than EDM",
            verdict=second,
            evidence=f"ratios of {title} to EDM's, by architecture and setup: {ratios}; "
            f"{sum(worse)} of {len(pairs)} surely above {DRASTICALLY:g}",
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
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
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
