"""`bench study`: one question of a workload, answered by trials of a plan of its own."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.commands.options import (
    LocalPath,
    home_option,
    make_console,
    open_tracker,
    say,
    tracker_option,
    tracking_option,
)
from bench.commands.reading_options import given, reading_options
from bench.commands.running_trials import (
    make_projector,
    reopen,
    run_session,
    running_options,
    stopped_line,
)

if TYPE_CHECKING:
    from rich.console import Console

    from bench.studies.running import StudyRun
    from bench.studies.study import Table
    from bench.track.background import BackgroundProjector
    from bench.workloads.workload import Workload


@click.command()
@click.argument("workload")
@click.argument("name", required=False)
@click.option("--data", type=LocalPath(), help="Your data; none: simulated.")
@reading_options
@click.option("--scale", help="smoke, laptop, gpu or paper.  [default: by the hardware]")
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="One parameter for all trials."
)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--seeds", type=int, help="Trainings of each arm, where a study has several.")
@click.option(
    "--budget", type=float, default=1.0, show_default=True, help="Times what the study trains for."
)
@click.option(
    "--equal",
    help="What arms have alike: flops, nimg, gpu-seconds or memory.  [default: the study's]",
)
@click.option("--of", metavar="SWEEP", help="On a network that this sweep trained.")
@click.option("--trial", type=int, help="Which of its trials.  [default: the best on select]")
@click.option("--anew", is_flag=True, help="Begin anew, whatever of the same was stopped before.")
@click.option("--concurrency", type=int, help="Trials at once.  [default: one a GPU or core]")
@running_options
@home_option
@tracking_option
@tracker_option
def study(
    workload: str,
    name: str | None,
    home: Path | None,
    tracking_uri: str | None,
    tracker: str,
    offline: bool,
    log_real_images: bool,
    **options: Any,
) -> None:
    """Answer a question of WORKLOAD with trials of the study's own; without NAME, list them.

    It is a sweep: its trials are in the journal, on Ray and in MLflow, and asking again goes on
    with what was stopped. A table (CSV), a picture and study.json go to HOME/studies.
    """
    from bench.studies import running
    from bench.studies.asked import Asked
    from bench.sweep.record.home import Home
    from bench.sweep.record.publishing import Publisher
    from bench.workloads.workload import load as load_workload

    console, where = make_console(), Home.find(home)
    reading = given(options)
    if name is None:
        _list(console, load_workload(workload), workload)
        return
    asked = Asked(workload=workload, study=name, reading=reading, **options)
    running.check(asked)
    asked = running.resolved(asked, where)
    opened = open_tracker(
        tracker, tracking_uri, where, check=not offline, share_real=log_real_images
    )
    projector = make_projector(opened, tracker, console)
    try:
        before = None if asked.anew else running.unfinished(asked, where)
        if before is not None:
            say(console, f"study {before} has no findings yet: going on with it (--anew does not)")
            run = running.reopen(
                reopen(before, where, projector), where, lambda line: say(console, line)
            )
        else:
            publisher = Publisher(projector.put, where.sweeps)
            run = running.begin(asked, where, (publisher,), lambda line: say(console, line))
    except BaseException:
        projector.close()
        raise
    answer(run, console, projector, asked.address)


def answer(
    run: StudyRun, console: Console, projector: BackgroundProjector, address: str | None
) -> None:
    """Run a study's trials, then show what it finds; it leaves with 130 where it was stopped."""
    from bench.console.clock import clock
    from bench.sweep.running import session

    begin, engine, setting = time.monotonic(), run.engine, run.setting
    say(
        console,
        f"{run.study.name}: {run.study.title}; {setting.scale.name} scale, {setting.label}",
    )
    if setting.data.simulated:
        say(console, "note: the pictures are SIMULATED; no verdict about real ones rests on them")
    try:
        machine = session.machine_of(engine, address)
        found = run.findings(
            lambda: run_session(engine, run.home, console, machine, address) is not None
        )
        if found is None:
            say(console, stopped_line(engine.history))
            sys.exit(130)
        folder = run.write(found)
    except KeyboardInterrupt:
        say(console, f"stopped; {engine.history.resume} goes on with what was worked out")
        sys.exit(130)
    finally:
        engine.journal.close()
        projector.close()
    for table in found.tables:
        if table.shown:
            _print(console, table, setting.label)
    console.print()
    for line in found.lines:
        say(console, line)
    took = clock(time.monotonic() - begin)
    say(console, f"\ntables, picture and study.json: {folder} ({took} in this run)")


def _list(console: Console, job: Workload, workload: str) -> None:
    from bench.studies import running

    studies = running.studies_of(job)
    for each in studies:
        say(console, f"bench study {workload} {each.name}: {each.title}")
    if not studies:
        say(console, f"there is no study of {job.name} yet")


def _print(console: Console, table: Table, label: str) -> None:
    from rich.markup import escape
    from rich.table import Table as Drawn

    drawn = Drawn(
        title=escape(f"{table.title} ({table.source or label})"),
        title_justify="left",
        box=None,
        pad_edge=False,
        header_style="dim",
    )
    for place, column in enumerate(table.columns):
        numbers = all(isinstance(row[place], int | float | None) for row in table.rows)
        drawn.add_column(escape(column), justify="right" if numbers else "left")
    for row in table.rows:
        drawn.add_row(*(escape(_plain(value)) for value in row))
    console.print()
    console.print(drawn)


def _plain(value: Any) -> str:
    if value is None or value != value:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
