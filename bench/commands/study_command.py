"""`bench study`: one question of a workload, answered by trials of a plan of its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.commands.options import LocalPath, home_option, make_console, say
from bench.commands.reading_options import given, reading_options

if TYPE_CHECKING:
    from rich.console import Console

    from bench.studies.study import Table


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
@click.option(
    "--budget", type=float, default=1.0, show_default=True, help="Times what the study trains for."
)
@home_option
def study(workload: str, name: str | None, home: Path | None, **options: Any) -> None:
    """Answer a question of WORKLOAD with trials of the study's own; without NAME, list them.

    A table (CSV), a picture and study.json go to HOME/studies/WORKLOAD-NAME-1.
    """
    from bench.studies import running
    from bench.sweep.record.home import Home
    from bench.workloads.workload import load as load_workload

    console = make_console()
    reading = given(options)
    if name is None:
        job = load_workload(workload)
        studies = running.studies_of(job)
        for each in studies:
            say(console, f"bench study {workload} {each.name}: {each.title}")
        if not studies:
            say(console, f"there is no study of {job.name} yet")
        return
    asked = running.Asked(workload=workload, study=name, reading=reading, **options)
    folder, findings, setting = running.run(asked, Home.find(home), lambda t: say(console, t))
    for table in findings.tables:
        if table.shown:
            _print(console, table, setting.label)
    console.print()
    for line in findings.lines:
        say(console, line)
    say(console, f"\ntables, picture and study.json: {folder}")


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
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
