"""`bench confirm`: the best entries again, from new seeds."""

from __future__ import annotations

from pathlib import Path

import click

from bench.commands.options import (
    home_option,
    make_console,
    open_tracker,
    say,
    tracker_option,
    tracking_option,
)
from bench.commands.running_trials import (
    make_projector,
    reopen,
    run_engine,
    running_options,
)
from bench.errors import BenchError


@click.command()
@click.argument("name", required=False)
@click.option("--top", type=int, default=1, show_default=True, help="How many entries.")
@click.option("--each", metavar="AXIS", help="So many of each method, architecture ...")
@click.option("--seeds", type=int, default=3, show_default=True, help="New seeds for each.")
@running_options
@home_option
@tracking_option
@tracker_option
def confirm(
    name: str | None,
    top: int,
    each: str | None,
    seeds: int,
    address: str | None,
    offline: bool,
    log_real_images: bool,
    home: Path | None,
    tracking_uri: str | None,
    tracker: str,
) -> None:
    """Retrain a finished sweep's best entries from new seeds, as a verdict needs."""
    from bench.sweep.record.home import Home
    from bench.sweep.running import session

    if top < 1 or seeds < 1:
        raise BenchError(f"--top and --seeds must be at least 1, got {top} and {seeds}")
    console, where = make_console(), Home.find(home)
    name = where.latest() if name is None else name
    history = where.history(name)
    if history.ended is None:
        raise BenchError(f"sweep {name} is not complete; bench resume {name} first")
    best = session.best_entries(history, top, each)
    chosen = [trial for trial in best if trial.trained]
    for trial in best:
        if not trial.trained:
            say(
                console,
                f"{trial.suggestion.label}: nothing in it is trained, every seed gives the same",
            )
    if not chosen:
        return
    opened = open_tracker(
        tracker, tracking_uri, where, check=not offline, share_real=log_real_images
    )
    projector = make_projector(opened, tracker, console)
    engine = reopen(name, where, projector)

    def begin() -> None:
        asked = session.extend_with_confirmation(engine, [t.number for t in chosen], seeds)
        for trial in chosen:
            say(console, f"confirming {trial.suggestion.label}")
        say(console, f"{asked} trials on new seeds, never pruned")

    run_engine(engine, where, console, projector, address, begin)
