"""From a sweep's record to a board on the terminal or a pipe."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bench.commands.options import open_store

if TYPE_CHECKING:
    from rich.console import Console

    from bench.sweep.record.home import Home
    from leaderboards.board import Board
    from leaderboards.facts import SweepFacts
    from leaderboards.rows import Row


def rows_from_journal(
    home: Home, workload: str | None, sweeps: tuple[str, ...]
) -> tuple[list[Row], list[SweepFacts]]:
    """Rows and facts of these sweeps (none named: the latest of the workload)."""
    from bench.sweep.record.board_rows import rows
    from leaderboards.facts import facts_of

    names = sweeps or (home.latest(workload),)
    histories = [home.history(name) for name in names]
    return [r for h in histories for r in rows(h)], [facts_of(h.plan.to_dict()) for h in histories]


def rows_from_mlflow(
    home: Home, workload: str | None, sweeps: tuple[str, ...], uri: str | None
) -> tuple[list[Row], list[SweepFacts]]:
    """The same, as MLflow holds them."""
    from bench.track import read

    store = open_store(uri, home, check=True)
    named = sweeps or (None,)
    held = [read.sweeps(store, workload, name)[0] for name in named]
    return [row for sweep in held for row in sweep.rows], [sweep.facts for sweep in held]


def print_board(console: Console, board: Board, form: str, top: int | None) -> None:
    """Draw a board: table, json, csv or md; `top` entries, None for all."""
    from leaderboards import draw, text

    if form == "table":
        console.print(draw.Drawing(board=board, top=top))
    elif form == "json":
        click.echo(text.to_json(board))
    elif form == "csv":
        click.echo(text.to_csv(board), nl=False)
    else:
        click.echo(text.to_markdown(board, top=top), nl=False)
