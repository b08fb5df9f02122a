"""What several commands share: options, the console they print on, the tracking store."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

    from bench.sweep.record.home import Home

PIPE_WIDTH = 120  # columns where there is no terminal to ask; COLUMNS says otherwise

Command = Callable[..., Any]


def home_option(command: Command) -> Command:
    return click.option(
        "--home",
        type=click.Path(path_type=Path),
        help="Folder of sweeps, cache and store.  [default: BENCH_HOME or ./bench_runs]",
    )(command)


def tracking_option(command: Command) -> Command:
    return click.option(
        "--tracking-uri",
        help="MLflow store.  [default: MLFLOW_TRACKING_URI, else sqlite in the home folder]",
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
    from bench.track import store as stores

    store = stores.resolve(uri, home.path)
    if check:
        home.make()
        stores.check(store)
    return store
