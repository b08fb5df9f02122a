"""Which search finds the best configuration for the least training, replayed on recorded trials.

    python -m tests.measure.search FILE.csv [FILE2.csv ...] [--replicates 100] [--trials 64]
        [--equal-compute] [--concurrency 2] [--evaluation 1] [--search NAME] [--plot FILE.png]

The files are those of tests.measure.record_trials. On each set a surrogate is fitted
(tests.measure.surrogate) and searches are played on it in simulated time (tests.measure.searches):
random search, random search with our promotion rule, Optuna's TPE, GP and CMA-ES with full
trainings, TPE with Hyperband, the echo paper's one axis at a time (`--search stagewise`), and
ours, also with `--table` (two trials of each cell train to the end). Every search has `--trials`
trials, so that those that stop trials early spend less; with `--equal-compute` these have as many
more as make all spend alike. Compute is machine time (workers that idle count) in full trainings
with their evaluations. An evaluation costs what it did in the table beside a training, times
`--evaluation`: 0.25 stands for a budget four times as large.

    at the end: how far the incumbent, by its score on report without noise, is above the best
        known (the lowest of 20,000 random configurations, the recorded ones, and all incumbents);
        a mean over replicates.
    at equal compute: the same once each has spent what the cheapest search spends in all.
    to match random: the compute from which on the median incumbent is as good as random search's at
        its end, over the compute of all its trials; inf: it never is.

Intervals are 95 % bootstraps over replicates. The incumbent is the best value at the furthest rung
that any trial reached, as the live view has it. CMA-ES needs the package cmaes, which nothing else
does, and is left out without it. 100 replicates (`--replicates`) of all searches take about ten
minutes of a core a set, two thirds of it GP's, of which a quarter of the replicates are played.
"""

from __future__ import annotations

import dataclasses
import math
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest import mock

import click
import numpy as np
import optuna
import torch

from backbones.inputs import Inputs
from bench.config import TaskConfig
from bench.errors import BenchError
from bench.sweep.cost.equal import Equal
from bench.sweep.planning.plan_making import load_space
from bench.sweep.record.plan import SharedFrame
from bench.sweep.record.trial import ABSENT
from bench.workloads.workload import load as load_workload
from search_spaces import Choices
from tests.measure.searches import (
    HALVING,
    RANDOM,
    SEARCHES,
    Played,
    Setting,
    World,
    paid_alike,
    play,
)
from tests.measure.surrogate import Surrogate, Values
from tests.measure.trial_table import Recorded, read_tables
from tests.unit.sweep import fakes

SLOW = {"GP": 4}  # of which one replicate in so many is played
NEEDS = {"CMA-ES": "cmaes"}
DENSE, DENSE_SEED = 20_000, 1
KEEP = 0.25  # share that goes on past each rung, as at laptop scale
STEP = 0.25  # of compute between two points of a curve
RESAMPLED = 1000


def setting_of(
    shared: Mapping[str, Any],
    rows: Sequence[Recorded],
    trials: int,
    workers: int,
    evaluation: float,
) -> Setting:
    """What searches of a table share; `evaluation` multiplies what evaluations cost in it."""
    job = load_workload(shared["workload"])
    choices = Choices(**{key: _tuples(value) for key, value in shared["choices"].items()})
    rungs = tuple(shared["rungs"])
    scale = dataclasses.replace(
        job.scale(shared["scale"]),
        choices=choices,
        rungs=rungs,
        keep=(KEEP,) * (len(rungs) - 1),
        budget_tflop=shared["budget_tflop"],
    )
    side = tuple(scale.data["size"])
    inputs = Inputs(spatial=side, channels=1, out_channels=1)
    task = TaskConfig(kind=job.task, inputs=inputs)
    frame = fakes.frame(workload=job.name, scale=scale, task=task, metrics=job.metrics)
    axes, defaults = tuple(shared["cell_axes"]), tuple(shared["defaults"])
    cells = tuple({axis: one.get(axis, ABSENT) for axis in axes} for one in defaults)
    plan = fakes.plan(
        sweep="replay", workload=job.name, workload_door=job.name, scale=scale.name,
        trials=trials, concurrency=workers, rungs=rungs, keep=scale.keep, space=job.space,
        cell_axes=axes, cells=cells, defaults=defaults, startup_trials=len(cells), table=False,
        equal=Equal(amount=scale.budget_tflop).record(),
        frame=SharedFrame(
            data=frame.data, task=task, device="cpu", precision="float32", threads=1
        ),
    )  # fmt: skip
    select, report = (evaluation * cost for cost in evaluation_costs(rows))
    return Setting(
        space=load_space(job.space), choices=choices, rungs=rungs, trials=trials, workers=workers,
        select_cost=select, report_cost=report, frame=frame, plan=plan,
    )  # fmt: skip


def evaluation_costs(rows: Sequence[Recorded]) -> tuple[float, float]:
    """Mean seconds of an evaluation on select, and of the one on report, over those of a
    training. Starting a trial is in the first."""
    done = [row for row in rows if row.outcome == "completed"]
    training = float(np.mean([row.train_sec for row in done]))
    select = [(row.rung_all_sec[-1] - row.train_sec) / len(row.rungs) for row in done]
    report = [row.all_sec - row.rung_all_sec[-1] for row in done]
    return float(np.mean(select)) / training, float(np.mean(report)) / training


def _tuples(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_tuples(one) for one in value)
    return {k: _tuples(v) for k, v in value.items()} if isinstance(value, dict) else value


def best_drawn(surrogate: Surrogate, setting: Setting, count: int) -> float:
    """The lowest logarithm on report of so many random configurations and the recorded ones."""
    sampler = optuna.samplers.RandomSampler(seed=DENSE_SEED)
    drawn: list[Mapping[str, Any]] = list(surrogate.recorded)
    study = optuna.create_study(sampler=sampler)
    for place in range(count):
        if place % 500 == 499:  # a study slows as it grows
            study = optuna.create_study(sampler=sampler)
        trial = study.ask()
        setting.space(trial, setting.choices)
        drawn.append(trial.params)
    lowest = math.inf
    for begin in range(0, len(drawn), 1000):
        logs, broken = surrogate.many(drawn[begin : begin + 1000])
        lowest = min(lowest, float(np.where(broken, math.inf, logs[:, -1]).min()))
    return lowest


def replay(
    surrogate: Surrogate,
    setting: Setting,
    names: Sequence[str],
    replicates: int,
    equal_compute: bool = False,
) -> dict[str, list[Played]]:
    """Every search so many times (the slow ones fewer), each replicate with its own seed."""
    played: dict[str, list[Played]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as scratch, mock.patch.object(os, "fsync"):
        settings = dict.fromkeys(names, setting)
        if equal_compute:
            pilot = World(surrogate, 0)
            settings = {n: paid_alike(n, pilot, setting, Path(scratch)) for n in names}
        for replicate in range(replicates):
            world = World(surrogate, replicate)
            for name in names:
                if replicate % SLOW.get(name, 1):
                    continue
                own = settings[name]
                search = SEARCHES[name](own, replicate, Path(scratch) / str(replicate))
                played[name].append(play(search, world, own))
                search.close()
    return played


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A number with its 95 % interval, and what bootstraps gave in its place."""

    value: float
    low: float
    high: float
    resampled: Values

    def text(self, digits: int = 2) -> str:
        value, low, high = (f"{x:.{digits}f}" for x in (self.value, self.low, self.high))
        return f"{value} ({low} to {high})"

    def overlaps(self, other: Estimate) -> bool:
        return self.low <= other.high and other.low <= self.high


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a search did on one set. curves: logarithms above the best known, [replicates, grid]."""

    curves: Values
    spent: float
    at_end: Estimate
    at_equal: Estimate
    to_match: Estimate


def judged(
    played: Mapping[str, Sequence[Played]], best: float, setting: Setting
) -> tuple[dict[str, Found], Values]:
    """Each search against random search, and the grid of compute that curves are on."""
    best = min([best, *(t for runs in played.values() for one in runs for t in one.truth)])
    spent = {name: float(np.median([one.spent for one in runs])) for name, runs in played.items()}
    grid = np.arange(STEP, max(spent.values()) + 2 * STEP, STEP)
    curves = {
        name: np.array([one.at(grid) for one in runs]) - best for name, runs in played.items()
    }
    draw = np.random.default_rng(0)
    resamples = {
        name: draw.integers(len(of), size=(RESAMPLED, len(of))) for name, of in curves.items()
    }
    whole = float(setting.trials)
    ends = {name: np.array([one.truth[-1] for one in runs]) - best for name, runs in played.items()}
    equal = int(np.searchsorted(grid, min(spent.values())))
    target = float(np.median(ends[RANDOM]))
    targets = np.median(ends[RANDOM][resamples[RANDOM]], axis=1)
    found = {}
    for name, of in curves.items():
        rows = resamples[name]
        matches = np.array([
            _matched(np.median(of[row], axis=0), grid, goal) / whole
            for row, goal in zip(rows, targets, strict=True)
        ])  # fmt: skip
        matched = _matched(np.median(of, axis=0), grid, target) / whole
        found[name] = Found(
            curves=of,
            spent=spent[name],
            at_end=_mean(100 * np.expm1(ends[name]), rows),
            at_equal=_mean(100 * np.expm1(of[:, equal]), rows),
            to_match=_interval(matched, matches),
        )
    return found, grid


def _matched(curve: Values, grid: Values, goal: float) -> float:
    """From where on a curve is as low as `goal` and stays so."""
    above = np.flatnonzero(curve > goal + 1e-12)
    place = above[-1] + 1 if len(above) else 0
    return float(grid[place]) if place < len(grid) else math.inf


def _mean(values: Values, rows: Any) -> Estimate:
    return _interval(float(values.mean()), values[rows].mean(axis=1))


def _interval(value: float, resampled: Values) -> Estimate:
    ranks = np.sort(resampled)  # quantiles that may be infinite: those that are there
    low, high = (float(ranks[round(q * (len(ranks) - 1))]) for q in (0.025, 0.975))
    return Estimate(value=value, low=low, high=high, resampled=resampled)


def verdict(sets: Sequence[Mapping[str, Found]]) -> str:
    """Who is best at equal compute (the mean over sets), who needs least to match random search
    (the geometric mean), and whether random search with halving is as good."""

    def mean(of: Callable[[Found], Estimate], name: str, geometric: bool) -> Estimate:
        each = [of(found[name]) for found in sets]
        resampled = np.array([one.resampled for one in each])
        values = np.array([one.value for one in each])
        if not geometric:
            return _interval(float(values.mean()), resampled.mean(axis=0))
        value = float(np.exp(np.log(values).mean()))
        return _interval(value, np.exp(np.log(resampled).mean(axis=0)))

    def told(estimates: Mapping[str, Estimate], digits: int, unit: str) -> str:
        winner = min(estimates, key=lambda name: estimates[name].value)
        said = f"{winner}, {estimates[winner].text(digits)}{unit}"
        halving = estimates.get(HALVING)
        if winner == HALVING or halving is None:
            return said
        same = "as good (intervals overlap)" if halving.overlaps(estimates[winner]) else "worse"
        return f"{said}, and {HALVING} is {same}, {halving.text(digits)}"

    equal = {name: mean(lambda found: found.at_equal, name, False) for name in sets[0]}
    match = {name: mean(lambda found: found.to_match, name, True) for name in sets[0]}
    return (
        f"wins at equal compute: {told(equal, 1, ' % above the best known')}; "
        f"wins at matching random: {told(match, 2, ' of its compute')}"
    )


def said_of(surrogate: Surrogate, setting: Setting, data: str) -> list[str]:
    """How far the surrogate, the noise and the costs are to be trusted."""
    fit, noise = surrogate.fit, surrogate.noise
    own, shared = noise.own.std(axis=0), noise.shared.std(axis=0)
    rungs = ", ".join(f"{rank:.2f}" for rank in fit.rungs)
    at = ", ".join(f"{sd:.3f}" for sd in own)
    return [
        f"{data}: {len(surrogate.recorded)} configurations; surrogate of report, cross-validated: "
        f"error {fit.error:.3f} of the logarithm (standard deviation {fit.spread:.3f}), rank "
        f"correlation {fit.rank:.2f}",
        f"{data}: rank correlation of each rung with report {rungs}; noise of a training at each "
        f"rung and on report {at}" + (", shared by a seed " + f"{shared[-1]:.3f}" if own.any() else
        " (no configuration has several seeds)"),
        f"{data}: an evaluation on select costs {setting.select_cost:.2f} trainings, on report "
        f"{setting.report_cost:.2f}",
    ]  # fmt: skip


def table(data: str, found: Mapping[str, Found]) -> list[str]:
    """A line a search."""
    return [
        f"{data} | {name} | {len(of.curves)} | {of.spent:.1f} | {of.at_end.text(1)} | "
        f"{of.at_equal.text(1)} | {of.to_match.text()}"
        for name, of in found.items()
    ]


def draw(path: Path, found: Mapping[str, tuple[dict[str, Found], Values]]) -> None:
    """Quality against compute: the median over replicates and its quartiles, a panel a set."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2.5 + 5 * len(found), 4.5), layout="constrained")
    panels = figure.subplots(1, len(found), squeeze=False)[0]
    for axes, (data, (searches, grid)) in zip(panels, found.items(), strict=True):
        for name, of in searches.items():
            low, middle, high = 100 * np.expm1(np.quantile(of.curves, (0.25, 0.5, 0.75), axis=0,
                                                           method="nearest"))  # fmt: skip
            shown = np.isfinite(high)
            (line,) = axes.plot(grid[shown], middle[shown], label=name)
            axes.fill_between(
                grid[shown], low[shown], high[shown], color=line.get_color(), alpha=0.12, lw=0
            )
        axes.set(title=data, xlabel="compute, full trainings", xscale="log")
        axes.set(ylabel="% above the best known", yscale="symlog", ylim=(0, None))
        axes.grid(linewidth=0.4)
    panels[-1].legend(loc="center left", bbox_to_anchor=(1, 0.5))
    figure.savefig(path, dpi=110, format="png")


def names_of(asked: Sequence[str]) -> list[str]:
    """The searches to be played; random search always."""
    names = [name for name in SEARCHES if not asked or name in asked or name == RANDOM]
    for name, package in NEEDS.items():
        if name in names and find_spec(package) is None:
            click.echo(f"{name} is left out: it needs pip install {package}", err=True)
            names.remove(name)
    return names


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--replicates", default=100, show_default=True)
@click.option("--trials", default=64, show_default=True)
@click.option("--equal-compute", is_flag=True, help="More trials where they are stopped early.")
@click.option("--concurrency", default=2, show_default=True)
@click.option("--evaluation", default=1.0, show_default=True, help="Times what it cost.")
@click.option("--search", "asked", multiple=True, type=click.Choice(list(SEARCHES)))
@click.option("--plot", type=click.Path(path_type=Path))
def main(
    files: tuple[Path, ...],
    replicates: int,
    trials: int,
    equal_compute: bool,
    concurrency: int,
    evaluation: float,
    asked: tuple[str, ...],
    plot: Path | None,
) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    torch.set_num_threads(1)  # of GP's: more wait for each other
    rows, shared = read_tables(files)
    names = names_of(asked)
    found: dict[str, tuple[dict[str, Found], Values]] = {}
    lines = ["set | search | replicates | compute in all | % above the best known at the end | "
             "at equal compute | compute to match random"]  # fmt: skip
    lines.append("|".join(["---"] * 7))
    for data in dict.fromkeys(row.data for row in rows):
        own = [row for row in rows if row.data == data]
        setting = setting_of(shared, own, trials, concurrency, evaluation)
        try:
            surrogate = Surrogate(own, shared["space"], shared["score"])
        except BenchError as error:
            click.echo(f"{data}: left out: {error}")
            continue
        click.echo("\n".join(said_of(surrogate, setting, data)))
        played = replay(surrogate, setting, names, replicates, equal_compute)
        found[data] = judged(played, best_drawn(surrogate, setting, DENSE), setting)
        lines += table(data, found[data][0])
    if not found:
        raise click.ClickException("no set has enough recorded configurations")
    click.echo("\n".join(lines))
    if plot is not None:
        draw(plot, found)
    click.echo(verdict([searches for searches, _ in found.values()]))


if __name__ == "__main__":
    main()
