"""What the commands that run trials share: options, and a run from Ray's start to the board."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from bench.commands.board_printing import print_board, rows_from_journal
from bench.commands.options import say
from bench.track import DEFAULT

if TYPE_CHECKING:
    from rich.console import Console

    from bench.sweep.cost.machine import Machine
    from bench.sweep.record.history import History
    from bench.sweep.record.home import Home
    from bench.sweep.record.records import End
    from bench.sweep.running.engine import Engine
    from bench.sweep.running.session import Prepared
    from bench.track.background import BackgroundProjector
    from bench.track.tracker import Tracker

Command = Callable[..., Any]


class Duration(click.ParamType):  # type: ignore[type-arg]  # no generic in older clicks
    """Seconds, written as 90s, 30m, 2h or 1h30m."""

    name = "duration"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        from bench.sweep.cost import budget

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
        click.option("--offline", is_flag=True, help="Begin though the tracker does not answer."),
        click.option(
            "--address", help="A Ray cluster: auto, or HOST:PORT.  [default: this machine]"
        ),
    ):
        command = option(command)
    return command


def run_sweep(
    prepared: Prepared,
    home: Home,
    console: Console,
    tracker: Tracker,
    named: str = DEFAULT,
    *,
    address: str | None = None,
) -> None:
    """Begin a prepared sweep and run it to its board."""
    from bench.sweep.record.publishing import Publisher
    from bench.sweep.running import session

    projector = make_projector(tracker, named, console)
    engine = session.begin(prepared, home, (Publisher(projector.put, home.sweeps),))
    run_engine(engine, home, console, projector, address)


def make_projector(tracker: Tracker, named: str, console: Console) -> BackgroundProjector:
    """The tracker, driven off the trials' path; `named` is what --tracker calls it."""
    from bench.track.background import BackgroundProjector

    return BackgroundProjector(tracker, named=named, say=lambda line: say(console, f"note: {line}"))


def reopen(name: str, home: Home, projector: BackgroundProjector) -> Engine:
    """A sweep taken up again, heard by the projector; that one is closed where it cannot be."""
    from bench.sweep.record.publishing import Publisher
    from bench.sweep.running import session

    try:
        return session.reopen(name, home, (Publisher(projector.put, home.sweeps),))
    except BaseException:
        projector.close()
        raise


def run_engine(
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
    from bench.sweep.record import barring
    from bench.sweep.running import session
    from bench.sweep.running.race import Race
    from leaderboards import board as boards

    name = engine.plan.sweep
    race = Race(engine, lambda line: say(console, line))

    def begin_all() -> None:
        begin()
        race.go_on()

    try:
        machine = session.machine_of(engine, address)
        last = run_session(engine, home, console, machine, address, begin_all)
    finally:
        engine.journal.close()
        projector.close()
    if last is None:
        say(console, stopped_line(engine.history))
        sys.exit(130)
    for line in live.summary_lines(last, engine.history):
        say(console, line)
    console.print()
    rows, facts = rows_from_journal(home, None, (name,))
    print_board(console, boards.build(rows, facts), "table", 15)
    say(console, f"\nbench leaderboard --sweep {name} shows this again; bench ui opens MLflow")
    if barring.best(engine.history) is not None:
        say(console, f"bench show samples {name} names the files of the best: pictures, tables")


def run_session(
    engine: Engine,
    home: Home,
    console: Console,
    machine: Machine,
    address: str | None,
    begin: Callable[[], None] = lambda: None,
) -> End | None:
    """Run what is left, shown as it goes; the sweep's end, or None where it was stopped."""
    from bench.console import live
    from bench.sweep.running import drive

    if address is None and (before := engine.plan.address):
        say(console, f"note: begun on the Ray cluster at {before}; --address {before} joins it")
    if not engine.complete:
        what = f"joining the Ray cluster at {address}" if address else "starting Ray"
        say(console, f"{what}; Ctrl-C stops cleanly, {engine.history.resume} goes on")
    with live.watching(engine, console):
        return drive.run(
            engine,
            home,
            machine,
            address=address,
            say=lambda line: say(console, line),
            more=begin,
        )


def stopped_line(history: History) -> str:
    """What there was of a sweep that was stopped, and how to go on with it."""
    counts = ", ".join(f"{n} {outcome}" for outcome, n in history.counts().items())
    if not counts:
        return f"stopped before the first trial; {history.resume} begins it"
    return f"stopped: {counts}. {history.resume} goes on from the last checkpoints"


def print_opening(console: Console, prepared: Prepared) -> None:
    """What is about to run, and what may be claimed of it."""
    from bench.console import opening_lines

    for line in opening_lines.opening(prepared.plan, prepared.data.notes):
        say(console, line)


def print_forecast(console: Console, prepared: Prepared, home: Home) -> None:
    """What it is expected to cost: all that a dry run does."""
    from bench.console import tables

    assert prepared.forecast is not None  # a dry run times what is not kept
    console.print(tables.dry_run(prepared, prepared.forecast, home.free_bytes()))
