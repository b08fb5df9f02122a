"""`bench tune`: the best way to draw from a finished trial's network, without training."""

from __future__ import annotations

from pathlib import Path

import click

from bench.commands.options import (
    home_option,
    make_console,
    say,
    tracker_option,
    tracking_option,
)
from bench.commands.sync_command import sync_one
from bench.errors import BenchError


@click.command()
@click.argument("name", required=False)
@click.option("--trial", type=int, help="Which trial.  [default: the best on select]")
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
    from bench.console.tune_table import table
    from bench.sweep.record.home import Home
    from bench.tune import findings, finished, recording
    from bench.tune.running import tune as run

    console, where = make_console(), Home.find(home)
    found = finished.find(where, where.latest() if name is None else name, trial)
    say(
        console,
        f"tuning trial {found.number} of {found.sweep}, {found.label}: at most "
        f"{5 * found.train_sec:.0f} s; Ctrl-C loses nothing",
    )
    tuning = run(found, configurations, seed, lambda text: say(console, text))
    console.print(table(tuning))
    for line in findings.lines(tuning):
        say(console, line)
    for path in findings.keep(tuning):
        say(console, str(path))
    recording.record(where, tuning)
    if not offline:
        try:
            sync_one(found.sweep, where, tracking_uri, tracker)
        except BenchError as error:  # what was found is in the journal
            say(console, f"note: {error}; bench sync {found.sweep} completes it")
