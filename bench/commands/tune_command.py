"""`bench tune`: the best way to draw from a finished trial's network, without training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.commands.board_printing import print_board, rows_from_journal
from bench.commands.options import (
    home_option,
    make_console,
    say,
    tracker_option,
    tracking_option,
)
from bench.commands.sync_command import sync_one
from bench.errors import BenchError

if TYPE_CHECKING:
    from rich.console import Console

    from bench.sweep.record.finished import FinishedTrial
    from bench.sweep.record.home import Home


@click.command()
@click.argument("name", required=False)
@click.option("--trial", type=int, help="Which trial.  [default: the best on select]")
@click.option("--finalists", is_flag=True, help="Each completed trial that may win, all alike.")
@click.option(
    "--configurations", type=int, default=100, show_default=True, help="How many are raced."
)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--offline", is_flag=True, help="Leave the tracker for bench sync.")
@home_option
@tracking_option
@tracker_option
def tune(
    name: str | None,
    trial: int | None,
    finalists: bool,
    configurations: int,
    seed: int,
    offline: bool,
    home: Path | None,
    tracking_uri: str | None,
    tracker: str,
) -> None:
    """Search sampler, steps, grid, churn, guidance weight and EMA length of a finished trial.

    Candidates race on common noise, on select, in at most five times the trial's training time; the
    finalists are measured once on report. Stopped, it goes on when called again.
    """
    from bench.sweep.record import finished
    from bench.sweep.record.home import Home

    if finalists and trial is not None:
        raise BenchError("--finalists are all that may win; leave out --trial")
    console, where = make_console(), Home.find(home)
    name = where.latest() if name is None else name
    if finalists:
        tune_finalists(console, where, name, configurations, seed)
    else:
        _tune(console, where, finished.find(where, name, trial), configurations, seed)
    if not offline:
        try:
            sync_one(name, where, tracking_uri, tracker)
        except BenchError as error:  # what was found is in the journal
            say(console, f"note: {error}; bench sync {name} completes it")


def tune_finalists(console: Console, home: Home, name: str, configurations: int, seed: int) -> None:
    """Tune each completed trial of a sweep that may win, with as many configurations; then the
    board, with the tuned scores in their column."""
    from bench.sweep.record import finished
    from leaderboards import board as boards

    for trial in finished.finalists(home, name):
        try:
            found = finished.find(home, name, trial.number)
            _tune(console, home, found, configurations, seed)
        except BenchError as error:  # a method without sampling, weights that are gone
            say(console, f"note: trial {trial.number} is not tuned: {error}")
    rows, facts = rows_from_journal(home, None, (name,))
    print_board(console, boards.build(rows, facts), "table", 15)


def _tune(
    console: Console, home: Home, found: FinishedTrial, configurations: int, seed: int
) -> None:
    """Tune one trial and say what came of it; its files, its line in the sweep's journal."""
    from bench.console.tune_table import table
    from bench.tune import recording, tuning_findings
    from bench.tune.tuning import TIMES_TRAINING
    from bench.tune.tuning import tune as run

    say(
        console,
        f"tuning trial {found.number} of {found.sweep}, {found.label}: at most "
        f"{TIMES_TRAINING * found.train_sec:.0f} s; Ctrl-C loses nothing",
    )
    tuning = run(found, configurations, seed, lambda text: say(console, text))
    console.print(table(tuning))
    for line in tuning_findings.lines(tuning):
        say(console, line)
    for path in tuning_findings.keep(tuning):
        say(console, str(path))
    recording.record(home, tuning)
