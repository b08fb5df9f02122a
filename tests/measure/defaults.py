"""Which training settings teach a network most: variants of a default, over seeds and data sets.

    python -m tests.measure.defaults --data simulated --data chest_xray_png --seeds 3 \\
        --variant "" --variant "lr=0.002 schedule=cosine" [--judge ema=0.2] [--results FILE]

A variant is a list of NAME=VALUE as `--set` takes them, on top of the default configuration of a
network and a setup at a scale; "" is the default itself, and the first is what the others are
compared with. `--data` is `simulated`, or a set in $BENCH_REALDATA. All train for one budget of
training TFLOP; the seconds of training stand beside, since another batch or optimizer costs
another time. `--cell "method=classical estimator=otsu"` names the configuration's choices where a
workload has others than a network and a setup. Every trained network is judged as the scale does
and in each way of `--judge`. With `--results` what was trained before is read there and not trained
again. Seeds are common to all variants: ratios to the first are of pairs.
"""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

from bench.config import SampleConfig, TrialConfig
from bench.methods import build_method
from bench.metrics.throughput import Stopwatch
from bench.nonfinite import NonFiniteError
from bench.pictures import save_grid
from bench.sweep.cost.machine import find_machine
from bench.sweep.deciding.resolve import Frame, default_params, resolve
from bench.sweep.planning.plan_making import choose_scale, make_frame
from bench.sweep.planning.settings import given_parameters
from bench.sweep.planning.wish import Wish
from bench.tasks import build_task
from bench.train.judged_weights import JudgedWeights
from bench.train.loop import Diverged, Training
from bench.workloads.workload import Scale
from bench.workloads.workload import load as load_workload
from tests.measure.real_pictures import folder

SIMULATED = "simulated"
METRICS = ("fd", "fd:drawn", "denoise_error")  # of pictures; other tasks have their workload's
SHOWN = ("fd_randconv", "fd_drawn", "denoise_error")
FAILED = 1e4  # stands for every measure of a training that diverged


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What all trainings of one call share. judges: lists of sampling settings, "" the scale's."""

    workload: str
    scale: str
    network: str
    setup: str
    budget: float
    reported: int
    judges: tuple[str, ...]
    cell: dict[str, str]
    shown: tuple[str, ...]
    home: Path


@dataclass(frozen=True, kw_only=True)
class Learned:
    """One network, judged in one way on the report part."""

    data: str
    variant: str
    judge: str
    seed: int
    train_sec: float
    values: dict[str, float]


def frame_of(asked: Asked, data: str) -> Frame:
    """The scale's frame, with one rung and as many pictures judged as are asked for."""

    is_generation = load_workload(asked.workload).task == "generate"

    def judged(scale: Scale) -> Scale:
        count = asked.reported or scale.n_report
        measure = {**scale.measure, "n_denoise": count} if is_generation else scale.measure
        return dataclasses.replace(scale, rungs=(1.0,), keep=(), n_report=count, measure=measure)

    return sweep_frame(data, asked.workload, asked.scale, asked.budget, asked.home, judged)


def sweep_frame(
    data: str,
    workload_name: str,
    scale_name: str,
    budget: float,
    home: Path,
    changed: Callable[[Scale], Scale],
) -> Frame:
    """What the trials on one set share: as a sweep makes it, without a plan; one thread a trial."""
    place = None if data == SIMULATED else folder() / data
    wish = Wish(workload=workload_name, trials=1, scale=scale_name, data=place, budget=budget)
    workload = load_workload(workload_name)
    machine = dataclasses.replace(find_machine(1), threads=1)  # as trials of a sweep have it
    scale = changed(choose_scale(workload, wish, machine))
    cached = workload.open_data(place, scale, home, {})
    frame = make_frame(workload, scale, cached, wish, machine)
    return dataclasses.replace(frame, metrics=METRICS) if workload.task == "generate" else frame


def home_of_data() -> Path:
    """Where the sets lie decoded from one call to the next."""
    home = Path(tempfile.gettempdir()) / f"bench-defaults-{os.getuid()}"
    home.mkdir(exist_ok=True)
    return home


def trial_of(frame: Frame, asked: Asked, variant: str, seed: int) -> TrialConfig:
    """The default configuration with the variant's settings; it tracks every judge's average."""
    cell = asked.cell or {"architecture": asked.network, "preconditioning": asked.setup}
    given = given_parameters(variant.split())
    params = default_params(frame.scale, cell, given.get("optimizer"))
    config = resolve(dataclasses.replace(frame, fixed=given), params, seed)
    asked_for = {sample_of(config, judge).ema for judge in asked.judges} - {0.0}
    widths = tuple(sorted({*config.train.ema_sigma_rel, *asked_for}))
    return dataclasses.replace(
        config, train=dataclasses.replace(config.train, ema_sigma_rel=widths)
    )


def sample_of(config: TrialConfig, judge: str) -> SampleConfig:
    return dataclasses.replace(config.sample, **given_parameters(judge.split()))


def learned(
    config: TrialConfig, asked: Asked, data: str, variant: str, pictures: Path | None
) -> Iterator[Learned]:
    """Train once, judge in each way. A training that diverges has FAILED for every measure."""
    torch.set_num_threads(config.train.threads)
    method, task = build_method(config), build_task(config)
    training, failed = None, False
    began = time.process_time()  # of one thread: what runs beside it costs it nothing
    if method.trains:
        training = Training(config.train, method, task, config.seed, config.trial_id)
        try:
            training.advance(config.train.budget_nimg)
        except Diverged:
            failed = True
    seconds = time.process_time() - began
    for judge in asked.judges:
        values = dict.fromkeys(asked.shown, FAILED)
        if not failed:
            sample = sample_of(config, judge)
            nets = [JudgedWeights(training, [sample]).net(sample, early=False)] if training else []
            predictor = method.predictor(nets, config.seed, sample)
            try:
                evaluation = task.evaluate(predictor, "report", Stopwatch(config.train.device))
            except NonFiniteError:
                pass
            else:
                values = {key: evaluation.metrics[key] for key in asked.shown}
                if pictures is not None and evaluation.pictures is not None:
                    name = f"{data}-{asked.network}-{asked.setup}-{variant}-{judge}-{config.seed}"
                    save_grid(evaluation.pictures, pictures / f"{name.replace(' ', ',')}.png")
        yield Learned(
            data=data, variant=variant, judge=judge, seed=config.seed,
            train_sec=seconds, values=values,
        )  # fmt: skip


def table(rows: Sequence[Learned], shown: Sequence[str]) -> list[str]:
    """A line for each set, variant and judge: geometric means over seeds, and the ratio to the
    first of the set with its 95 % factor (twice the standard error of the paired logarithms)."""
    lines = ["data | variant | judged | seeds | train s | " + " | ".join(shown)]
    lines.append("|".join(["---"] * (5 + len(shown))))
    first: dict[str, tuple[str, str]] = {}
    groups: dict[tuple[str, str, str], dict[int, Learned]] = {}
    for row in rows:
        first.setdefault(row.data, (row.variant, row.judge))
        groups.setdefault((row.data, row.variant, row.judge), {})[row.seed] = row
    for (data, variant, judge), of in groups.items():
        base = groups[(data, *first[data])]
        cells = []
        for key in shown:
            logs = np.log([row.values[key] for row in of.values()])
            text = f"{np.exp(logs.mean()):.3g}"
            common = sorted(base.keys() & of.keys())
            if base is not of and common:
                ratio = np.log([of[s].values[key] / base[s].values[key] for s in common])
                error = ratio.std(ddof=1) / len(ratio) ** 0.5 if len(ratio) > 1 else np.nan
                text += f" (x{np.exp(ratio.mean()):.2f}"
                text += "" if np.isnan(error) else f" */ {np.exp(2 * error):.2f}"
                text += ")"
            cells.append(text)
        seconds = np.mean([row.train_sec for row in of.values()])
        names = [data, variant or "default", judge or "as the scale", str(len(of))]
        lines.append(" | ".join([*names, f"{seconds:.1f}", *cells]))
    return lines


def key_of(config: TrialConfig, judge: str) -> str:
    return f"{config.trial_id}/{config.data.digest}/{judge}"


@click.command()
@click.option("--data", "sets", multiple=True, default=(SIMULATED,), show_default=True)
@click.option("--variant", "variants", multiple=True, default=("",), show_default=True)
@click.option("--judge", "judges", multiple=True, help="Sampling settings, beside the scale's.")
@click.option("--seeds", default=3, show_default=True)
@click.option("--first-seed", default=0, show_default=True)
@click.option("--budget", default=1.5, show_default=True, help="Training TFLOP.")
@click.option("--workload", default="echo", show_default=True)
@click.option("--scale", default="laptop", show_default=True)
@click.option("--network", default="ddpmpp", show_default=True)
@click.option("--setup", default="edm", show_default=True)
@click.option("--cell", "cell", default="", help="Choices as NAME=VALUE, instead of these two.")
@click.option("--shown", multiple=True, default=SHOWN, show_default=True, help="Metrics.")
@click.option("--reported", default=256, show_default=True, help="Cases judged; 0: the scale's.")
@click.option("--results", type=click.Path(path_type=Path), help="Kept from call to call.")
@click.option("--pictures", type=click.Path(path_type=Path), help="A folder for grids of samples.")
def main(
    sets: tuple[str, ...],
    variants: tuple[str, ...],
    judges: tuple[str, ...],
    seeds: int,
    first_seed: int,
    results: Path | None,
    pictures: Path | None,
    cell: str,
    **shared: Any,
) -> None:
    chosen = {name: str(value) for name, value in given_parameters(cell.split()).items()}
    asked = Asked(judges=("", *judges), cell=chosen, home=home_of_data(), **shared)
    known: dict[str, dict[str, Any]] = {}
    if results is not None and results.exists():
        known = dict(json.loads(line) for line in results.read_text().splitlines())
    if pictures is not None:
        pictures.mkdir(parents=True, exist_ok=True)
    frames = {data: frame_of(asked, data) for data in sets}
    rows: list[Learned] = []
    for seed in range(first_seed, first_seed + seeds):
        for data, frame in frames.items():
            for variant in variants:
                config = trial_of(frame, asked, variant, seed)
                keys = [key_of(config, judge) for judge in asked.judges]
                if all(key in known for key in keys):
                    rows += [Learned(**{**known[key], "variant": variant}) for key in keys]
                    continue
                for key, row in zip(
                    keys, learned(config, asked, data, variant, pictures), strict=True
                ):
                    rows.append(row)
                    said = " ".join(f"{k} {v:.4g}" for k, v in row.values.items())
                    click.echo(
                        f"{data} seed {seed} [{variant}] [{row.judge}] {row.train_sec:.1f} s "
                        f"nimg {config.train.budget_nimg}: {said}",
                        err=True,
                    )
                    if results is not None:
                        with results.open("a") as file:
                            file.write(json.dumps([key, dataclasses.asdict(row)]) + "\n")
    click.echo("\n".join(table(rows, asked.shown)))


if __name__ == "__main__":
    main()
