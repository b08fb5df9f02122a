"""`bench resume`: go on with a sweep from its journal."""

from __future__ import annotations

from pathlib import Path

import click

from bench.commands.options import (
    home_option,
    make_console,
    open_tracker,
    say,
    say_notes,
    tracker_option,
    tracking_option,
)
from bench.commands.running_trials import (
    budget_options,
    make_projector,
    reopen,
    run_engine,
    running_options,
)
from bench.errors import BenchError


@click.command()
@click.argument("name", required=False)
@click.option("--trials", type=int, help="This many more.")
@budget_options("This much more: 90m, 2h.", "This many more, if it was begun with a limit.")
@click.option("--storage", metavar="URL", help="Take the sweep's record from there.")
@running_options
@home_option
@tracking_option
@tracker_option
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
    tracker: str,
    log_real_images: bool,
) -> None:
    """Go on with a sweep that was stopped, from its journal; or give one more to spend."""
    from bench.commands.study_command import answer
    from bench.console import clock
    from bench.studies.running import has_findings
    from bench.studies.running import reopen as reopen_study
    from bench.sweep.record.home import Home
    from bench.sweep.running import session

    console, where = make_console(), Home.find(home)
    if storage is not None:
        if name is None:
            raise BenchError("--storage: name the sweep that is to be taken from there")
        added = session.bring_back(name, storage, where)
        last = clock.moment(where.history(name).last_t)
        say(console, f"{added} records of {name} brought from {storage}; the last is of {last}")
        say(console, f"note: what came after is lost; bench sync {name} puts all into the tracker")
    name = where.latest() if name is None else name
    history = where.history(name)
    more = any(v is not None for v in (trials, wall_sec, device_hours))
    of_study = bool(history.plan.study) and not has_findings(history)
    if history.plan.study and more:
        raise BenchError(f"{name} is a study, which asks for its trials itself; leave out the more")
    if history.ended is not None and not more and not of_study:
        open_trials = len(history.left_open)
        if open_trials:
            with_more = f"{history.resume} with more of it ({' or '.join(history.limits)})"
            say(console, f"the budget of {name} is spent, {open_trials} trials wait: {with_more}")
        else:
            say(console, f"sweep {name} is complete; bench leaderboard --sweep {name} shows it")
        return
    given = session.more_of(history, trials, wall_sec, device_hours) if more else None
    opened = open_tracker(tracker, tracking_uri, where, check=False, share_real=log_real_images)
    try:
        say_notes(opened.check())
    except BenchError as error:  # a requeued job must not wait for a server
        say(console, f"note: {error}; the sweep goes on, bench sync {name} completes the record")
    projector = make_projector(opened, tracker, console)
    engine = reopen(name, where, projector)
    if of_study:
        run = reopen_study(engine, where, lambda line: say(console, line))
        answer(run, console, projector, address)
        return

    def begin() -> None:
        if given is not None:
            engine.write("extend", plan=given)
        to_suggest = "as many to suggest as the budget allows"
        if engine.plan.trials is not None:
            to_suggest = f"{engine.plan.trials - len(engine.history.trials)} still to suggest"
        waiting = len(engine.history.left_open)
        say(console, f"sweep {name}: {waiting} trials to go on with, {to_suggest}")

    run_engine(engine, where, console, projector, address, begin)
