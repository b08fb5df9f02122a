"""The commands that run trials: sweep, resume, confirm. Parse, delegate, print."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.boards import print_board, rows_from_journal
from bench.errors import BenchError
from bench.options import home_option, make_console, open_store, say, tracking_option

if TYPE_CHECKING:
    from rich.console import Console

    from bench.sweep.engine import Engine
    from bench.sweep.home import Home
    from bench.sweep.session import Prepared
    from bench.track.background import BackgroundProjector

Command = Callable[..., Any]


class Duration(click.ParamType):  # type: ignore[type-arg]  # no generic in older clicks
    """Seconds, written as 90s, 30m, 2h or 1h30m."""

    name = "duration"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        from bench.sweep import budget

        return value if isinstance(value, float) else budget.seconds_of(str(value))


def budget_options(wall: str, device: str) -> Callable[[Command], Command]:
    """--wall-clock and --gpu-hours, with what each means."""
    hours = click.option(
        "--gpu-hours",
        "--cpu-hours",
        "device_hours",
        type=float,
        metavar="HOURS",
        help=device,
    )
    clock = click.option("--wall-clock", "wall_sec", type=Duration(), help=wall)

    def add(command: Command) -> Command:
        return clock(hours(command))

    return add


def running_options(command: Command) -> Command:
    """Where trials run, and what of them may leave the disk."""
    for option in (
        click.option("--log-real-images", is_flag=True, help="Let real images leave for MLflow."),
        click.option("--offline", is_flag=True, help="Begin though MLflow does not answer."),
        click.option(
            "--address", help="A Ray cluster: auto, or HOST:PORT.  [default: this machine]"
        ),
    ):
        command = option(command)
    return command


@click.command()
@click.argument("workload")
@click.option("--trials", type=int, help="How many to run.  [default: 64, or by the budget]")
@budget_options(
    "Of the whole sweep: 90m, 2h.",
    "Device hours of all trials: GPUs, or cores where there is no GPU.",
)
@click.option("--data", type=click.Path(path_type=Path), help="Your data; none: simulated.")
@click.option("--group-by", metavar="REGEX", help="What in a file's path names its subject.")
@click.option("--scale", help="smoke, laptop, gpu or paper.  [default: by the hardware]")
@click.option("--space", metavar="FILE.py", help="Your own search space.")
@click.option("--sampler", default="tpe", show_default=True, help="tpe or random.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "--equal",
    default="flops",
    show_default=True,
    help="What each trial may spend alike: flops, nimg or gpu-seconds.",
)
@click.option(
    "--budget",
    type=float,
    help="Of each trial, in training TFLOP, kimg or device-seconds.  [default: by the scale]",
)
@click.option("--no-prune", is_flag=True, help="Run every trial to its end.")
@click.option("--concurrency", type=int, help="Trials at once.  [default: one a GPU or core]")
@click.option(
    "--workers-per-trial", "workers", type=int, default=1, help="Train one trial on many."
)
@click.option("--pack", is_flag=True, help="Several trials on a GPU, by predicted memory.")
@click.option("--storage", metavar="URL", help="Where checkpoints go: a shared path or a URL.")
@click.option("--name", help="The sweep's name.  [default: WORKLOAD-NUMBER]")
@click.option("--dry-run", is_flag=True, help="Print plan, space, budgets and cost; run nothing.")
@running_options
@home_option
@tracking_option
def sweep(workload: str, home: Path | None, tracking_uri: str | None, **wish: Any) -> None:
    """Run a sweep of trials over architectures, setups, optimisation and widths."""
    from bench.sweep import session
    from bench.sweep.home import Home
    from bench.sweep.plan import Wish

    console, where = make_console(), Home.find(home)
    name, dry, real = (wish.pop(k) for k in ("name", "dry_run", "log_real_images"))
    offline = wish.pop("offline")
    wish["prune"] = not wish.pop("no_prune")
    asked = Wish(workload=workload, **wish)
    session.check_names(asked, where, name)
    store = open_store(tracking_uri, where, check=not (dry or offline))
    for other in where.unfinished(workload) if where.sweeps.is_dir() else []:
        say(console, f"note: sweep {other} is unfinished; bench resume {other} goes on with it")
    prepared = session.prepare(asked, where, name, lambda text: say(console, f"{text} ..."))
    print_opening(console, prepared)
    if dry:
        print_forecast(console, prepared, where)
        return
    run_sweep(prepared, where, console, store, real=real, address=asked.address)


def run_sweep(
    prepared: Prepared,
    home: Home,
    console: Console,
    store: Any,
    *,
    real: bool = False,
    address: str | None = None,
) -> None:
    """Begin a prepared sweep and run it to its board."""
    from bench.sweep import session
    from bench.sweep.projection import Publisher

    projector = _projector(store, real, console)
    engine = session.begin(prepared, home, (Publisher(projector.put, home.sweeps),))
    _run(engine, home, console, projector, address)


@click.command()
@click.argument("name", required=False)
@click.option("--trials", type=int, help="This many more.")
@budget_options("This much more: 90m, 2h.", "This many more, if it was begun with a limit.")
@click.option("--storage", metavar="URL", help="Take the sweep's record from there.")
@running_options
@home_option
@tracking_option
def resume(
    name: str | None,
    trials: int | None,
    wall_sec: float | None,
    device_hours: float | None,
    storage: str | None,
    address: str | None,
    offline: bool,
    home: Path | None,
    tracking_uri: str | None,
    log_real_images: bool,
) -> None:
    """Go on with a sweep that was stopped, from its journal; or give one more to spend."""
    from bench.console import clock
    from bench.sweep import session
    from bench.sweep.home import Home
    from bench.sweep.projection import Publisher
    from bench.track import store as stores

    console, where = make_console(), Home.find(home)
    if storage is not None:
        if name is None:
            raise BenchError("--storage: name the sweep that is to be taken from there")
        added = session.bring_back(name, storage, where)
        last = clock.moment(where.history(name).last_t)
        say(console, f"{added} records of {name} brought from {storage}; the last is of {last}")
        say(console, f"note: what came after is lost; bench sync {name} puts all into MLflow")
    name = name or where.latest()
    history = where.history(name)
    more = any(v is not None for v in (trials, wall_sec, device_hours))
    if history.ended is not None and not more:
        open_trials = len(history.left_open)
        if open_trials:
            with_more = f"{history.resume} with more of it ({' or '.join(history.limits)})"
            say(console, f"the budget of {name} is spent, {open_trials} trials wait: {with_more}")
        else:
            say(console, f"sweep {name} is complete; bench leaderboard --sweep {name} shows it")
        return
    store = open_store(tracking_uri, where, check=False)
    try:
        stores.check(store)
    except BenchError as error:  # a requeued job must not wait for a server
        say(console, f"note: {error}; the sweep goes on, bench sync {name} completes the record")
    projector = _projector(store, log_real_images, console)
    engine = session.reopen(name, where, (Publisher(projector.put, where.sweeps),))
    given = session.more_of(engine.plan, trials, wall_sec, device_hours) if more else None

    def begin() -> None:
        if given is not None:
            engine.write("extend", plan=given)
        to_suggest = "as many to suggest as the budget allows"
        if engine.plan["trials"] is not None:
            to_suggest = f"{engine.plan['trials'] - len(engine.history.trials)} still to suggest"
        waiting = len(engine.history.left_open)
        say(console, f"sweep {name}: {waiting} trials to go on with, {to_suggest}")

    _run(engine, where, console, projector, address, begin)


@click.command()
@click.argument("name", required=False)
@click.option("--top", type=int, default=1, show_default=True, help="How many entries.")
@click.option("--seeds", type=int, default=3, show_default=True, help="New seeds for each.")
@running_options
@home_option
@tracking_option
def confirm(
    name: str | None,
    top: int,
    seeds: int,
    address: str | None,
    offline: bool,
    log_real_images: bool,
    home: Path | None,
    tracking_uri: str | None,
) -> None:
    """Retrain a finished sweep's best entries from new seeds, as a verdict needs."""
    from bench.sweep import session
    from bench.sweep.home import Home
    from bench.sweep.projection import Publisher

    if top < 1 or seeds < 1:
        raise BenchError(f"--top and --seeds must be at least 1, got {top} and {seeds}")
    console, where = make_console(), Home.find(home)
    name = name or where.latest()
    history = where.history(name)
    if history.ended is None:
        raise BenchError(f"sweep {name} is not complete; bench resume {name} first")
    chosen = session.best_entries(history, top)
    store = open_store(tracking_uri, where, check=not offline)
    projector = _projector(store, log_real_images, console)
    engine = session.reopen(name, where, (Publisher(projector.put, where.sweeps),))

    def begin() -> None:
        asked = session.extend_with_confirmation(engine, [t.number for t in chosen], seeds)
        for trial in chosen:
            say(console, f"confirming {trial.number:03d} {trial.suggestion['label']}")
        say(console, f"{asked} trials on new seeds, never pruned")

    _run(engine, where, console, projector, address, begin)


def _projector(store: Any, share_real: bool, console: Console) -> BackgroundProjector:
    from bench.track.background import BackgroundProjector

    return BackgroundProjector(
        store, share_real=share_real, say=lambda line: say(console, f"note: {line}")
    )


def _run(
    engine: Engine,
    home: Home,
    console: Console,
    projector: BackgroundProjector,
    address: str | None,
    begin: Callable[[], None] = lambda: None,
) -> None:
    """Run what is left, show it, close the record, print the board. `begin` is called first, once
    nothing can be refused any more."""
    from bench.console import live
    from bench.sweep import drive, session
    from leaderboards import board as boards

    name = engine.plan["sweep"]
    machine = session.machine_of(engine, address)
    what = f"joining the Ray cluster at {address}" if address else "starting Ray"
    if address is None and (before := engine.plan.get("address")):
        say(console, f"note: begun on the Ray cluster at {before}; --address {before} joins it")
    say(console, f"{what}; Ctrl-C stops cleanly, {engine.history.resume} goes on")
    try:
        with live.watching(engine, console):
            last = drive.run(
                engine,
                home,
                machine,
                address=address,
                say=lambda line: say(console, line),
                more=begin,
            )
    finally:
        engine.journal.close()
        projector.close()
    if last["kind"] != "end":
        done = engine.history.counts()
        left = ", ".join(f"{n} {k}" for k, n in done.items())
        say(console, f"stopped: {left}. {engine.history.resume} goes on from the last checkpoints")
        sys.exit(130)
    for line in live.summary_lines(last, engine.history):
        say(console, line)
    console.print()
    rows, device = rows_from_journal(home, None, (name,))
    print_board(console, boards.build(rows, device=device), "table", 15)
    say(console, f"\nbench leaderboard --sweep {name} shows this again; bench ui opens MLflow")


def print_opening(console: Console, prepared: Prepared) -> None:
    """What is about to run, and what may be claimed of it."""
    from bench.console import claims

    for line in claims.opening(prepared.plan, prepared.data.notes):
        say(console, line)


def print_forecast(console: Console, prepared: Prepared, home: Home) -> None:
    """What it is expected to cost: all that a dry run does."""
    from bench.console import tables

    console.print(tables.dry_run(prepared, prepared.forecast, home.free_bytes()))
