"""Real trials for replaying searches: configurations drawn from the search space, each trained.

    python -m tests.measure.record_trials FILE.csv --data simulated --data ultrasound_clips \\
        --count 100 [--first 0] [--only 0/2] [--budget 1.5] [--workload echo --scale laptop]

Configuration `number` is the same on every set and in every call: the first are the default
configurations of the cells (architecture x preconditioning), which a sweep begins with; any later
one is of cell `number % cells` and drawn at random otherwise, as `--search random` draws. Every
fifth is trained from three seeds. Each trains to the whole of `--budget` through bench.run, with
rungs at 1/16, 1/4 and 1 of it, so that the values at rungs are what a sweep sees (on select), and
is measured at the end on report. The default budget, 1.5 TFLOP, is a quarter of that of the laptop
scale: "full" in such a table means a quarter of laptop's, and its rungs are laptop's first three.

Rows are appended one by one and what FILE.csv holds is not trained again: a recording may be
stopped at any time and goes on with the same call. It goes number by number over all sets.
`--only 0/2` takes the numbers whose remainder by 2 is 0, so that two processes fill two files.
FILE.json says how the rows were made. tests.measure.search replays searches on the table.
"""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import click
import optuna
import torch

from bench.config import TrialConfig, digest
from bench.metrics.throughput import Stopwatch
from bench.run import Report, run_trial
from bench.streams import derive_seed
from bench.sweep.cost.machine import find_machine
from bench.sweep.cost.price import cost
from bench.sweep.deciding.resolve import Frame, default_params, resolve
from bench.sweep.deciding.suggest import Offer
from bench.sweep.planning.plan_making import load_space, versions
from bench.sweep.record.trial import ABSENT
from bench.tasks import build_task
from bench.workloads.workload import Scale
from bench.workloads.workload import load as load_workload
from tests.measure.defaults import SIMULATED, home_of_data, sweep_frame
from tests.measure.trial_table import ERROR, Layout, Recorded, Table

RUNGS = (1 / 16, 1 / 4, 1.0)
DRAWN_FROM = 20  # the seed of all configurations
EVERY, SEEDS = 5, 3  # each fifth configuration is trained from three seeds


class Drawn:
    """The configurations, by number."""

    def __init__(self, frame: Frame, space_name: str, cell_axes: tuple[str, ...]) -> None:
        self.frame, self.cell_axes = frame, cell_axes
        space, choices = load_space(space_name), frame.scale.choices
        self.offer = Offer(space=space, choices=choices, name=space_name, fixed=frame.fixed)
        self.cells = [
            {axis: value for axis, value in cell.items() if value != ABSENT}
            for cell in self.offer.cells(cell_axes)
        ]
        self.space = self.offer.distributions()
        self.defaults = [
            self.offer.offered(default_params(frame.scale, cell)) for cell in self.cells
        ]

    def params(self, number: int) -> dict[str, Any]:
        """Its parameters: a cell's default configuration, or drawn at random in its cell."""
        if number < len(self.cells):
            return self.defaults[number]
        seed = derive_seed(DRAWN_FROM, "configuration", number) % 2**32
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
        cell = self.cells[number % len(self.cells)]
        study.enqueue_trial({k: v for k, v in cell.items() if k not in self.frame.fixed})
        asked = study.ask()
        self.offer.run(asked)
        return {**asked.params, **self.frame.fixed}

    def provenance(self, score: str) -> dict[str, Any]:
        """What all rows of a table share."""
        scale = self.frame.scale
        full = load_workload(self.frame.workload).scale(scale.name).budget_tflop
        return {
            "workload": self.frame.workload,
            "scale": scale.name,
            "scale_digest": digest(dataclasses.asdict(scale)),
            "budget_tflop": scale.budget_tflop,
            "budget_of_scale": f"full here is {scale.budget_tflop / full:.3g} of the budget of "
            f"scale {scale.name}, {full:g} TFLOP",
            "rungs": scale.rungs,
            "n_select": scale.n_select,
            "n_report": scale.n_report,
            "score": score,
            "drawn_from": DRAWN_FROM,
            "seeds": f"{SEEDS} of every number that {EVERY} divides, 1 of the others",
            "cell_axes": self.cell_axes,
            "space": self.space,
            "choices": dataclasses.asdict(scale.choices),
            "defaults": self.defaults,
        }

    @property
    def layout(self) -> Layout:
        score = build_task(resolve(self.frame, self.defaults[0], 0)).score.key
        return Layout(params=tuple(self.space), score=score, rungs=len(self.frame.scale.rungs))


def seeds_of(number: int) -> range:
    """The seeds that a configuration is trained from."""
    return range(SEEDS if number % EVERY == 0 else 1)


def train(config: TrialConfig, params: dict[str, Any], layout: Layout, **which: Any) -> Recorded:
    """Train one network to its end in a folder that is deleted afterwards; its row."""
    rungs: list[tuple[Report, float]] = []
    # other processes on the machine cost it nothing on this clock
    cpu_watch = partial(Stopwatch, clock=time.process_time)
    with (
        tempfile.TemporaryDirectory(prefix="bench-record-") as scratch,
        mock.patch("bench.run.Stopwatch", cpu_watch),
    ):
        began = time.process_time()

        def heard(report: Report) -> bool:
            if report.phase == "rung":
                rungs.append((report, time.process_time() - began))
            return False

        end = run_trial(config, Path(scratch) / "trial", heard)
        all_sec = time.process_time() - began
    price = cost(config.task, config.method)

    def measured(report: Report, part: str) -> dict[str, float]:
        keys = (*layout.measures, f"{layout.score}{ERROR}") if part == "eval" else layout.measures
        found = {key: report.metrics.get(f"{part}/{key}") for key in keys}
        return {key: value for key, value in found.items() if value is not None}

    return Recorded(
        params=params,
        outcome=end.outcome or "failed",
        cause=end.cause,
        parameters=price.parameters,
        nimg=end.nimg,
        tflop=end.nimg * price.training_flops / 1e12,
        train_sec=round(end.seconds["train"], 3),
        all_sec=round(all_sec, 3),
        rungs=tuple(measured(report, "rung") for report, _ in rungs),
        rung_nimg=tuple(report.nimg for report, _ in rungs),
        rung_train_sec=tuple(round(report.seconds["train"], 3) for report, _ in rungs),
        rung_all_sec=tuple(round(seconds, 3) for _, seconds in rungs),
        report=measured(end, "eval"),
        **which,
    )


def call() -> dict[str, Any]:
    """This call, for the provenance: the command, the commit, versions, the processor."""
    said = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12"],
        cwd=Path(__file__).parent, capture_output=True, text=True, check=False,
    )  # fmt: skip
    machine = find_machine(1)
    return {
        "command": " ".join(["python -m tests.measure.record_trials", *sys.argv[1:]]),
        "began": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
        "commit": said.stdout.strip() or "unknown",
        "versions": versions(),
        "device": machine.device_name,
        "cores": machine.cores,
        "threads": 1,
    }


def shard_of(text: str) -> tuple[int, int]:
    """'0/2' -> (0, 2)."""
    remainder, slash, of = text.partition("/")
    if not (slash and remainder.isdigit() and of.isdigit() and int(remainder) < int(of)):
        raise click.BadParameter(f"{text!r} is not K/N with K below N, as in 0/2")
    return int(remainder), int(of)


def trainings(
    frames: dict[str, Drawn], numbers: range, shard: tuple[int, int]
) -> Iterator[tuple[str, int, int]]:
    """(set, number, seed) in the order that they are trained: every set alike, wherever it
    stops."""
    for number in numbers:
        if number % shard[1] != shard[0]:
            continue
        for seed in seeds_of(number):
            for data in frames:
                yield data, number, seed


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--data", "sets", multiple=True, default=(SIMULATED,), show_default=True)
@click.option("--count", default=100, show_default=True, help="Configurations.")
@click.option("--first", default=0, show_default=True, help="The number of the first.")
@click.option("--only", "only", default="0/1", show_default=True, help="K/N: number % N == K.")
@click.option("--budget", default=1.5, show_default=True, help="Training TFLOP.")
@click.option("--workload", default="echo", show_default=True)
@click.option("--scale", default="laptop", show_default=True)
@click.option("--reported", type=int, help="Pictures judged at the end; default: the scale's.")
def main(
    file: Path,
    sets: tuple[str, ...],
    count: int,
    first: int,
    only: str,
    budget: float,
    workload: str,
    scale: str,
    reported: int | None,
) -> None:
    torch.set_num_threads(1)
    shard = shard_of(only)

    def as_recorded(preset: Scale) -> Scale:
        return dataclasses.replace(
            preset,
            rungs=RUNGS,
            keep=(0.25,) * (len(RUNGS) - 1),
            n_report=reported or preset.n_report,
        )

    job, frames = load_workload(workload), dict[str, Drawn]()
    for data in sets:
        frame = sweep_frame(data, workload, scale, budget, home_of_data(), as_recorded)
        frames[data] = Drawn(frame, job.space, job.cell_axes)
    one = frames[sets[0]]
    layout = one.layout
    table = Table(file, layout, one.provenance(layout.score))
    table.begin(call(), {data: drawn.frame.data.digest for data, drawn in frames.items()})
    for drawn in frames.values():  # what trials share is made before they are timed
        build_task(resolve(drawn.frame, drawn.defaults[0], 0)).prepare()
    numbers = range(first, first + count)
    for data, number, seed in trainings(frames, numbers, shard):
        resolve(frames[data].frame, frames[data].params(number), seed)  # all can be trained
    for data, number, seed in trainings(frames, numbers, shard):
        if (data, number, seed) in table.known:
            continue
        drawn = frames[data]
        params = drawn.params(number)
        config = resolve(drawn.frame, params, seed)
        row = train(config, params, layout, data=data, number=number, seed=seed)
        if row.outcome == "interrupted":
            raise click.ClickException(f"{data} {number} seed {seed}: {row.cause}")
        table.append(row)
        score = row.report.get(layout.score)
        click.echo(
            f"{data} {number} seed {seed}: "
            + (f"{row.outcome}, {row.cause}" if score is None else f"{layout.score} {score:.4g}")
            + f", {row.all_sec:.1f} s",
            err=True,
        )


if __name__ == "__main__":
    main()
