"""What several commands share: options, the console they print on, the tracking store."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.track import DEFAULT

if TYPE_CHECKING:
    from rich.console import Console

    from bench.sweep.record.home import Home
    from bench.track.tracker import Tracker

DEFAULT_WORKLOAD = "echo"  # where a command is not told
PIPE_WIDTH = 120  # columns where there is no terminal to ask; COLUMNS says otherwise

MEMORY = "memory"  # of --equal

Command = Callable[..., Any]


class LocalPath(click.Path):
    """A path that the system can be asked about."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        if not os.fsdecode(value):
            self.fail("an empty text names no path", param, ctx)
        if "\0" in os.fsdecode(value):
            self.fail(f"{os.fsdecode(value)[:80]!r} has a zero byte; no path has one", param, ctx)
        return super().convert(value, param, ctx)


class Amount(click.ParamType):  # type: ignore[type-arg]  # generic in the stubs alone
    """What each trial may spend: a number, or gigabytes with their unit (4GB, 500MB)."""

    name = "amount"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        text = str(value).strip()
        for unit, gigabytes in (("GB", 1.0), ("MB", 1e-3), ("", 1.0)):
            if not text.upper().endswith(unit):
                continue
            try:
                amount = float(text[: len(text) - len(unit)])
            except ValueError:
                break
            if unit and ctx is not None and ctx.params.get("equal", MEMORY) != MEMORY:
                self.fail(f"{text} is memory; it goes with --equal memory", param, ctx)
            return amount * gigabytes
        return self.fail(f"{text!r} is no number, and no memory such as 4GB", param, ctx)


def home_option(command: Command) -> Command:
    return click.option(
        "--home",
        type=LocalPath(),
        help="Folder of sweeps, cache and store.  [default: BENCH_HOME or ./bench_runs]",
    )(command)


def tracking_option(command: Command) -> Command:
    return click.option(
        "--tracking-uri",
        help="MLflow store.  [default: MLFLOW_TRACKING_URI, else sqlite in the home folder]",
    )(command)


def task_option(command: Command) -> Command:
    """Another question to a workload's data: it stands for the workload that asks it."""
    return click.option(
        "--task", metavar="NAME", help="Another task on the workload's data: generate ..."
    )(command)


def choice_options(command: Command) -> Command:
    """What is searched, and what is the same for all trials."""
    for option in (
        click.option(
            "--set",
            "settings",
            multiple=True,
            metavar="KEY=VALUE",
            help="One parameter for all trials: sampler=euler, ema=0.05, augment=0.1 ...",
        ),
        click.option(
            "--backbone",
            "backbones",
            multiple=True,
            metavar="NAME|FILE.py:build",
            help="This network in place of the workload's; may be given again.",
        ),
        click.option(
            "--extractor",
            metavar="NAME|FILE.py:build",
            help="What judges pictures: randconv, inception (FID), timm:MODEL[@FILE] ...",
        ),
        click.option(
            "--condition",
            metavar="NAME",
            help="What pictures are drawn for: class, or a number that the data have (ef).",
        ),
        click.option(
            "--metric",
            "metrics",
            multiple=True,
            metavar="NAME|FILE.py:Class",
            help="Measured beside the workload's own: prdc, fd_inf, fd:inception ...",
        ),
        click.option("--space", metavar="FILE.py", help="Your own search space."),
    ):
        command = option(command)
    return command


def wished(options: dict[str, Any]) -> dict[str, Any]:
    """Options of a command as fields of a Wish."""
    settings = options.pop("settings", ())
    for option, setting in (
        ("extractor", "extractor"),
        ("condition", "condition"),
        ("early_stop", "patience"),
        ("looks", "looks"),
    ):
        value = options.pop(option, None)
        if value is not None:
            settings = (*settings, f"{setting}={value}")
    return {**options, "settings": settings}


def tracker_option(command: Command) -> Command:
    return click.option(
        "--tracker",
        default=DEFAULT,
        show_default=True,
        metavar="NAME",
        help="Where runs are recorded: mlflow, tensorboard, or your own FILE.py:OPENER.",
    )(command)


def make_console() -> Console:
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = PIPE_WIDTH
    return console


def say(console: Console, text: str) -> None:
    """One line of plain text; folded to the terminal's width, never in a pipe."""
    console.print(text, soft_wrap=not console.is_terminal, markup=False)


def open_store(uri: str | None, home: Home, *, check: bool) -> Any:
    """The MLflow store, for the commands that read it or show it."""
    from bench.track import store as stores

    store = stores.resolve(uri, home.path)
    if check:
        home.make()
        say_notes(stores.check(store))
    return store


def open_tracker(
    name: str, uri: str | None, home: Home, *, check: bool, share_real: bool = False
) -> Tracker:
    """The tracker of this name, or of a user's file, that a sweep is projected into."""
    from bench import doors
    from bench.track import TRACKERS

    opener = TRACKERS.load(name)
    if doors.is_outside(name):
        click.echo(doors.VERDICTS[name], err=True)
    tracker: Tracker = opener(home.path, uri, share_real)
    if check:
        home.make()
        say_notes(tracker.check())
    return tracker


def say_notes(lines: list[str]) -> None:
    """Where they do not mix with a board that is written to stdout."""
    for line in lines:
        click.echo(f"note: {line}", err=True)
