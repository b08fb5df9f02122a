"""`bench confirm`: entries again, from new seeds: a race of those that may be best, or some."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

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
    Duration,
    make_projector,
    reopen,
    run_engine,
    running_options,
)
from bench.errors import BenchError

if TYPE_CHECKING:
    from rich.console import Console

    from bench.sweep.record.history import History
    from bench.sweep.record.trial import Trial

RACE_SEEDS, FIXED_SEEDS = 8, 3


@click.command()
@click.argument("name", required=False)
@click.option("--within", metavar="TOLERANCE", help="Equivalent if so near the best: 3%, or 0.1.")
@click.option("--wall-clock", "wall_sec", type=Duration(), help="What a race may take: 90m, 2h.")
@click.option("--seeds", type=int, help="New seeds for each.  [default: at most 8; 3 if fixed]")
@click.option("--top", type=int, help="No race: so many entries, the best on select.")
@click.option("--each", metavar="AXIS", help="No race: so many of each method, cell ...")
@running_options
@home_option
@tracking_option
@tracker_option
def confirm(
    name: str | None,
    within: str | None,
    wall_sec: float | None,
    seeds: int | None,
    top: int | None,
    each: str | None,
    address: str | None,
    offline: bool,
    log_real_images: bool,
    home: Path | None,
    tracking_uri: str | None,
    tracker: str,
) -> None:
    """Retrain a finished sweep's entries from new seeds, as a verdict needs.

    A race: all that may be best get one more seed, the same for all, until one is left, the rest
    are equivalent or the budget ends. With --top or --each: a fixed number of entries and seeds.
    """
    from bench.sweep.cost import budget
    from bench.sweep.record.home import Home
    from bench.sweep.record.plan import RaceRules
    from bench.sweep.running import race as races
    from bench.sweep.running import session

    fixed = top is not None or each is not None
    if (top or 1) < 1 or (seeds or 1) < 1 or 0 in (top, seeds):
        raise BenchError(f"--top and --seeds must be at least 1, got {top} and {seeds}")
    if fixed and (within is not None or wall_sec is not None):
        raise BenchError("--within and --wall-clock are of a race; leave out --top and --each")
    console, where = make_console(), Home.find(home)
    name = where.latest() if name is None else name
    history = where.history(name)
    if history.ended is None:
        raise BenchError(f"sweep {name} is not complete; bench resume {name} first")
    if history.plan.study and history.found is None:
        raise BenchError(f"study {name} has no findings yet; bench resume {name} first")
    if fixed:
        chosen = _chosen(console, history, top or 1, each)
        if not chosen:
            return
    else:
        rules = RaceRules(
            seeds=seeds or RACE_SEEDS,
            within=None if within is None else races.tolerance(within, history.plan.score),
        )
        budget.make(wall_sec, None)
        first = races.look_at(history, rules)
        if first.over:
            say(console, first.text)
            say(console, f"nothing to race: {first.over}")
            return
        if first.ranking.one_extractor:
            say(console, f"the race can say who leads, {races.ONE_EXTRACTOR}")
    opened = open_tracker(
        tracker, tracking_uri, where, check=not offline, share_real=log_real_images
    )
    projector = make_projector(opened, tracker, console)
    engine = reopen(name, where, projector)

    def begin() -> None:
        if fixed:
            asked = session.extend_with_confirmation(
                engine, [t.number for t in chosen], seeds or FIXED_SEEDS
            )
            for trial in chosen:
                say(console, f"confirming {trial.suggestion.label}")
            say(console, f"{asked} trials on new seeds, never pruned")
        else:
            say(console, races.opening(rules, history.plan.score, wall_sec))
            races.begin(engine, rules, wall_sec)

    run_engine(engine, where, console, projector, address, begin)


def _chosen(console: Console, history: History, top: int, each: str | None) -> list[Trial]:
    """Trials of the entries that are to be confirmed, those that train; of others it is said."""
    from bench.sweep.running import session

    best = session.best_entries(history, top, each)
    for trial in best:
        if not trial.trained:
            say(
                console,
                f"{trial.suggestion.label}: nothing in it is trained, every seed gives the same",
            )
    return [trial for trial in best if trial.trained]
