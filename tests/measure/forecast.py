"""What forecasts rest on, from a finished sweep: its journal, and its networks timed again here.

    python -m tests.measure.forecast bench_runs/sweeps/echo-1

From the journal: what trials took of what was predicted of them, phase by phase; the seconds
between trials and around them that bench/sweep/forecast.py assumes; how many trials reached each
rung. Then each architecture is timed alone and with as many at once as the sweep ran.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np

from bench.config import TrialConfig
from bench.sweep.cost import timing
from bench.sweep.cost.price import cost
from bench.sweep.record import journal
from bench.sweep.record.history import History, Record
from bench.sweep.record.trial import Trial


def quantiles(values: Sequence[float]) -> str:
    low, middle, high = np.quantile(values, [0.1, 0.5, 0.9])
    return f"median {middle:.2f} (80 % {low:.2f} to {high:.2f}, n={len(values)})"


def config_of(trial: Trial) -> TrialConfig:
    return TrialConfig.from_dict(trial.suggestion.config)


def around(records: Sequence[Record], history: History) -> None:
    """Seconds that no trial's phases account for."""
    opened = next(r["t"] for r in records if r["kind"] == "session")
    starts = [r for r in records if r["kind"] == "start"]
    ends = [r["t"] for r in records if r["kind"] == "outcome"]
    closed = next(r["t"] for r in reversed(records) if r["kind"] in ("session", "end"))
    first: set[int] = set()
    processes: set[int] = set()
    for start in starts:
        if start["pid"] not in processes:
            first.add(start["trial"])
        processes.add(start["pid"])
    gaps = [r["t"] - max(t for t in ends if t <= r["t"]) for r in starts if r["t"] > min(ends)]
    beside = {t.number: t.wall_sec - sum(t.seconds.values()) for t in history.trials.values()}
    click.echo(f"from the opening to the first trial: {starts[0]['t'] - opened:.2f} s")
    click.echo(f"from a trial's end to the next one's start: {quantiles(gaps)} s")
    others = [sec for number, sec in beside.items() if number not in first]
    click.echo(f"in a trial beside its phases: {quantiles(others)} s")
    click.echo(f"in a process's first trial: {quantiles([beside[n] for n in first])} s")
    click.echo(f"from the last trial's end to the close: {closed - max(ends):.2f} s")


def predicted(history: History) -> None:
    """Shares that completed trials took of their predicted seconds."""
    whole = [t for t in history.with_outcome("completed") if t.suggestion.predicted_sec]
    shares = [t.wall_sec / t.suggestion.predicted_sec for t in whole]
    click.echo(f"taken of the seconds predicted: {quantiles(shares)}")
    images = []
    for trial in whole:
        config = config_of(trial)
        pace = timing.Pace.from_dict(history.plan.forecast["paces"][config.method.backbone])
        share = config.train.batch_size // config.train.workers
        flops = cost(config.task, config.method).training_flops
        image = pace.train.sec_per_image(flops, share) / config.train.workers
        images.append(trial.seconds["train"] / (image * config.train.budget_nimg))
    click.echo(f"  of those of training: {quantiles(images)}")


def reached(history: History) -> None:
    """How many trials reached each rung, and how many were expected to."""
    plan, trials = history.plan, history.trials.values()
    for rung, share in enumerate(plan.rungs):
        there = sum(rung in t.rungs for t in trials)
        expected = plan.forecast["trials_to_rung"][rung]
        click.echo(f"at {100 * share:.3g} % of the budget: {there} trials, forecast {expected:.1f}")


def at_once(history: History) -> None:
    """Each architecture's default, alone and with others."""
    together = history.plan.concurrency * history.plan.workers
    seen: dict[str, TrialConfig] = {}
    for trial in history.trials.values():
        config = config_of(trial)
        seen.setdefault(config.method.backbone, config)
    click.echo(f"{together} at once take, of the seconds of one alone:")
    for name, config in seen.items():
        price = cost(config.task, config.method)
        batch, drawn = config.train.batch_size, config.measure.n_select
        alone, others = (timing.paces([config], n)[name] for n in (1, together))
        step, passes = (
            many.sec_per_image(flops, count) / one.sec_per_image(flops, count)
            for one, many, flops, count in (
                (alone.train, others.train, price.training_flops, batch),
                (alone.forward, others.forward, price.forward_flops, drawn),
            )
        )
        click.echo(f"  {name:12} a step {step:.2f}, a pass over {drawn} pictures {passes:.2f}")


@click.command()
@click.argument("sweep", type=click.Path(path_type=Path, exists=True, file_okay=False))
def main(sweep: Path) -> None:
    records = journal.read(sweep / "journal.jsonl")
    history = History(records)
    predicted(history)
    around(records, history)
    reached(history)
    at_once(history)


if __name__ == "__main__":
    main()
