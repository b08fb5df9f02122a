"""From a sweep's record to a board on the terminal or a pipe."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bench.commands.options import open_store, say_notes
from bench.errors import BenchError

if TYPE_CHECKING:
    from rich.console import Console

    from bench.sweep.record.home import Home
    from leaderboards.board import Board
    from leaderboards.facts import SweepFacts
    from leaderboards.rows import Row


def rows_from_journal(
    home: Home, workload: str | None, sweeps: tuple[str, ...]
) -> tuple[list[Row], list[SweepFacts]]:
    """Rows and facts of these sweeps (none named: the latest of the workload).

    Raises:
        BenchError: there is no such sweep, or it is another workload's.
    """
    from bench.sweep.record.board_rows import rows
    from leaderboards.facts import facts_of

    names = sweeps or (home.latest(workload),)
    histories = [home.history(name) for name in names]
    for plan in (history.plan for history in histories):
        if workload is not None and plan.workload != workload:
            raise BenchError(
                f"sweep {plan.sweep} is of {plan.workload}, not of {workload}; `bench leaderboard "
                f"--sweep {plan.sweep}` shows it"
            )
    if not sweeps:
        say_newest(len(home.of_workload(workload)), workload, names[0])
    return [r for h in histories for r in rows(h)], [facts_of(h.plan.to_dict()) for h in histories]


def rows_from_mlflow(
    home: Home, workload: str | None, sweeps: tuple[str, ...], uri: str | None
) -> tuple[list[Row], list[SweepFacts]]:
    """The same, as MLflow holds them."""
    from bench.track import read

    store = open_store(uri, home, check=True)
    named = sweeps or (None,)
    found = [read.sweeps(store, workload, name) for name in named]
    held = [newest_first[0] for newest_first in found]
    if not sweeps:
        say_newest(len(found[0]), workload, held[0].name)
    return [row for sweep in held for row in sweep.rows], [sweep.facts for sweep in held]


def say_newest(count: int, workload: str | None, newest: str) -> None:
    """That one of several sweeps is shown, beside a board that may be read by a program."""
    if count > 1:
        of = f" of {workload}" if workload else ""
        say_notes([f"{newest} is the newest of {count} sweeps{of}; --sweep NAME shows another"])


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
