"""`bench sweep`: run trials over everything a search space varies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bench.commands.options import (
    Amount,
    LocalPath,
    choice_options,
    home_option,
    make_console,
    open_tracker,
    say,
    task_option,
    tracker_option,
    tracking_option,
    wished,
)
from bench.commands.reading_options import given, reading_options
from bench.commands.running_trials import (
    budget_options,
    print_forecast,
    print_opening,
    run_sweep,
    running_options,
)
from bench.commands.sync_command import sync_one
from bench.commands.tune_command import tune_finalists


@click.command()
@click.argument("workload")
@task_option
@click.option("--trials", type=int, help="How many to run.  [default: 64, or by the budget]")
@budget_options(
    "Of the whole sweep: 90m, 2h.",
    "Device hours of all trials: GPUs, or cores where there is no GPU.",
)
@click.option("--data", type=LocalPath(), help="Your data; none: simulated.")
@reading_options
@click.option("--scale", help="smoke, laptop, gpu or paper.  [default: by the hardware]")
@choice_options
@click.option("--search", default="tpe", show_default=True, help="tpe, random or stagewise.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "--equal",
    default="flops",
    is_eager=True,  # the unit of --budget depends on it
    show_default=True,
    help="What each trial may spend alike: flops, nimg, gpu-seconds or memory.",
)
@click.option(
    "--budget",
    type=Amount(),
    help="Of each trial, in training TFLOP, kimg, device-seconds or GB (4GB).  [default: by the "
    "scale]",
)
@click.option("--no-prune", is_flag=True, help="Run every trial to its end.")
@click.option(
    "--table",
    is_flag=True,
    help="Train two trials of each cell to the end, for a table of cells at the whole budget.",
)
@click.option(
    "--early-stop",
    type=click.IntRange(min=1),
    metavar="N",
    help="End training after N looks without improvement.  [looks: 10]",
)
@click.option(
    "--looks",
    type=click.IntRange(min=0),
    metavar="N",
    help="Looks at score and pictures over the budget, beside the rungs.",
)
@click.option("--concurrency", type=int, help="Trials at once.  [default: one a GPU or core]")
@click.option(
    "--workers-per-trial", "workers", type=int, default=1, help="Train one trial on many."
)
@click.option("--pack", is_flag=True, help="Several trials on a GPU, by predicted memory.")
@click.option("--storage", metavar="URL", help="Where checkpoints go: a shared path or a URL.")
@click.option("--name", help="The sweep's name.  [default: WORKLOAD-NUMBER]")
@click.option("--dry-run", is_flag=True, help="Print plan, space, budgets and cost; run nothing.")
@click.option(
    "--time-afresh", is_flag=True, help="Time this machine again, whatever is kept of it."
)
@click.option(
    "--tune-finalists",
    type=click.IntRange(min=2),
    metavar="N",
    help="At the end bench tune each completed trial, N configurations each.",
)
@running_options
@home_option
@tracking_option
@tracker_option
def sweep(
    workload: str,
    task: str | None,
    home: Path | None,
    tracking_uri: str | None,
    tracker: str,
    **wish: Any,
) -> None:
    """Run a sweep of trials over architectures, setups, optimisation and widths."""
    from bench.sweep.planning.wish import Wish
    from bench.sweep.record.home import Home
    from bench.sweep.running import session
    from bench.workloads.workload import for_task

    console, where = make_console(), Home.find(home)
    workload = for_task(workload, task)
    name, dry, real = (wish.pop(k) for k in ("name", "dry_run", "log_real_images"))
    offline, tuned = wish.pop("offline"), wish.pop("tune_finalists")
    wish["prune"] = not wish.pop("no_prune")
    reading = given(wish)
    asked = Wish(workload=workload, reading=reading, **wished(wish))
    session.check_names(asked, where, name)
    check = not (dry or offline)
    opened = open_tracker(tracker, tracking_uri, where, check=check, share_real=real)
    for other in where.unfinished(workload) if where.sweeps.is_dir() else []:
        say(console, f"note: sweep {other} is unfinished; bench resume {other} goes on with it")
    prepared = session.prepare(
        asked, where, name, lambda text: say(console, f"{text} ..."), dry=dry
    )
    print_opening(console, prepared)
    if dry:
        print_forecast(console, prepared, where)
        return
    run_sweep(prepared, where, console, opened, tracker, address=asked.address)
    if tuned:
        tune_finalists(console, where, prepared.plan.sweep, tuned, asked.seed)
        if not offline:
            sync_one(prepared.plan.sweep, where, tracking_uri, tracker)
