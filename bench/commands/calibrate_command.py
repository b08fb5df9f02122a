"""`bench calibrate`: what early rungs know of the final ranking, measured and kept for pruning."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from bench.commands.options import (
    LocalPath,
    choice_options,
    home_option,
    make_console,
    open_tracker,
    say,
    task_option,
    tracking_option,
    wished,
)
from bench.commands.reading_options import given, reading_options
from bench.errors import BenchError
from bench.track import DEFAULT

if TYPE_CHECKING:
    from rich.console import Console

    from bench.sweep.deciding.calibration import Calibration
    from bench.sweep.record.home import Home


@click.command()
@click.argument("workload")
@task_option
@click.option("--trials", type=int, default=24, show_default=True, help="Run to their end.")
@click.option("--from", "source", metavar="SWEEP", help="Take a sweep of --search random.")
@click.option("--data", type=LocalPath(), help="Your data; none: simulated.")
@reading_options
@click.option("--scale", help="smoke, laptop, gpu or paper.  [default: by the hardware]")
@choice_options
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--equal", default="flops", show_default=True, help="flops, nimg or gpu-seconds.")
@click.option("--budget", type=float, help="Of each trial, as of bench sweep.")
@click.option("--concurrency", type=int, help="Trials at once.  [default: one a GPU or core]")
@click.option("--dry-run", is_flag=True, help="Print plan, space, budgets and cost; run nothing.")
@home_option
@tracking_option
@click.pass_context
def calibrate(
    context: click.Context,
    /,
    workload: str,
    task: str | None,
    source: str | None,
    dry_run: bool,
    home: Path | None,
    tracking_uri: str | None,
    **wish: Any,
) -> None:
    """Measure how far each rung's ranking agrees with the final one; pruning then uses it.

    Runs the cells' defaults and random draws, without pruning. On a cluster, run bench sweep
    --search random and give its name with --from.
    """
    from bench.sweep.deciding import calibration as calibration
    from bench.sweep.record.home import Home
    from bench.workloads.workload import for_task

    console, where = make_console(), Home.find(home)
    workload = for_task(workload, task)
    if source is None:
        if wish["trials"] < calibration.MIN_TRIALS:
            raise BenchError(
                f"--trials {wish['trials']}: a calibration needs {calibration.MIN_TRIALS}"
            )
        source = _run(console, where, tracking_uri, dry_run, {"workload": workload, **wish})
        if dry_run:
            return
    else:
        given = [n for n in wish if context.get_parameter_source(n) != ParameterSource.DEFAULT]
        if given or dry_run:
            name = "--" + (given[0] if given else "dry_run").replace("_", "-")
            raise BenchError(f"--from takes a sweep as it was run; leave out {name}")
        _check_source(where, source, workload)
    measured = calibration.measure(where.history(source))
    path = calibration.store(where, measured)
    for line in lines_of(measured):
        say(console, line)
    say(console, f"kept in {path}; sweeps of the same data, preset and budget prune by it")


def _run(
    console: Console, home: Home, tracking_uri: str | None, dry: bool, wish: dict[str, Any]
) -> str:
    """A sweep that prunes nothing, its trials drawn at random past the defaults: its name."""
    from bench.commands.running_trials import print_forecast, print_opening, run_sweep
    from bench.sweep.planning.wish import Wish
    from bench.sweep.running import session

    workload = wish["workload"]
    name = home.free_name(f"calibrate-{workload}")
    reading = given(wish)
    asked = Wish(prune=False, reading=reading, **wished(wish))
    session.check_names(asked, home, name)
    tracker = open_tracker(DEFAULT, tracking_uri, home, check=not dry)
    prepared = session.prepare(asked, home, name, lambda text: say(console, f"{text} ..."), dry=dry)
    # until so many have ended TPE draws at random: what is resampled must be drawn alike
    assert asked.trials is not None
    plan = dataclasses.replace(prepared.plan, startup_trials=asked.trials)
    prepared = dataclasses.replace(prepared, plan=plan)
    print_opening(console, prepared)
    if dry:
        print_forecast(console, prepared, home)
        return name
    try:
        run_sweep(prepared, home, console, tracker)
    except SystemExit:
        say(console, f"after that, bench calibrate {workload} --from {name} measures it")
        raise
    return name


def _check_source(home: Home, source: str, workload: str) -> None:
    history = home.history(source)
    if history.plan.workload != workload:
        raise BenchError(f"sweep {source} is one of {history.plan.workload}, not of {workload}")
    if history.ended is None:
        raise BenchError(f"sweep {source} is not complete; bench resume {source} first")


def lines_of(measured: Calibration) -> list[str]:
    """The calibration, a rung a line."""
    data = "SIMULATED data" if measured.simulated else "real data"
    within = f"{measured.error:.1%}" if measured.relative else f"{measured.error:.3g}"
    lines = [
        f"rung against the end, {measured.trials} trials of {measured.workload} at "
        f"{measured.scale} scale, "
        f"{data} (95 % intervals):"
    ]
    for rung in measured.rungs:
        keep = "do not prune" if rung.keep == 1 else f"keep {rung.keep:.0%} of those that report"
        lines.append(
            f"  {rung.fraction:4.0%}  "
            f"Spearman {rung.spearman:.2f} ({rung.spearman_low:.2f} to {rung.spearman_high:.2f}), "
            f"Kendall {rung.kendall:.2f} ({rung.kendall_low:.2f} to {rung.kendall_high:.2f}): "
            f"{keep}; up to here {rung.lost:.1%} of resampled sweeps lose all that end within "
            f"{within} of the best"
        )
    return lines
