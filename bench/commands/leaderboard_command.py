"""`bench leaderboard`: who may be best, and how sure that is."""

from __future__ import annotations

from pathlib import Path

import click

from bench.commands.board_printing import print_board, rows_from_journal, rows_from_mlflow
from bench.commands.options import home_option, make_console, tracking_option
from bench.errors import BenchError, unknown

FORMATS = ("table", "md", "csv", "json")


@click.command()
@click.argument("workload", required=False)
@click.option("--sweep", "sweeps", multiple=True, help="This sweep; may be given again.")
@click.option("--from", "source", default="journal", show_default=True, help="journal or mlflow.")
@click.option("--format", "form", default="table", show_default=True, help="table, md, csv, json.")
@click.option("--top", type=int, default=15, show_default=True, help="Entries shown; 0: all.")
@home_option
@tracking_option
def leaderboard(
    workload: str | None,
    sweeps: tuple[str, ...],
    source: str,
    form: str,
    top: int,
    home: Path | None,
    tracking_uri: str | None,
) -> None:
    """Who may be best, and how sure that is."""
    from bench.sweep.record.home import Home
    from leaderboards import board as boards

    if top < 0:
        raise BenchError(f"--top must be 0 (all entries) or more, got {top}")
    where = Home.find(home)
    if form not in FORMATS:
        raise unknown("format", form, FORMATS)
    if source == "mlflow":
        rows, facts = rows_from_mlflow(where, workload, sweeps, tracking_uri)
    elif source == "journal":
        rows, facts = rows_from_journal(where, workload, sweeps)
    else:
        raise unknown("source", source, ("journal", "mlflow"))
    print_board(make_console(), boards.build(rows, facts), form, top or None)
