"""A board in the terminal: Rich tables that choose their columns by the width they are given.

Every text is a `Text`, never markup: a label or a note may hold "[...]".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from leaderboards.board import Board
from leaderboards.cells import Cell, Crossing, cell_table, crossing
from leaderboards.columns import NONE, Column, fitting, legend, number
from leaderboards.entries import count_outcomes
from leaderboards.rank import Ranked, Ranking
from leaderboards.text import barred_lines, reference_lines, rung_texts

TOP = 15  # ranked entries shown unless more are asked for
UNRANKED_TOP = 8
MAX_WIDTH = 200

OUTCOME_STYLES = {
    "completed": "green",
    "pruned": "dim",
    "running": "cyan",
    "diverged": "yellow",
    "out-of-memory": "yellow",
    "failed": "red",
    "waiting": "dim",
    "interrupted": "magenta",
}


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """The board as one renderable: `console.print(Drawing(board=board))`.

    `top` ranked entries are drawn; None draws them all, ranked and unranked.
    """

    board: Board
    top: int | None = TOP

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = min(options.max_width, MAX_WIDTH)
        yield Text(self.board.title, style="bold")
        yield _lines(self.board.opening)
        for ranking in self.board.rankings:
            if len(self.board.rankings) > 1:
                name = f"{ranking.workload} · {ranking.scale} · {ranking.protocol_digest}"
                yield Text(f"\nprotocol {name}", style="bold")
            yield from self._ranking(ranking, width)
        if self.board.notes:
            yield _lines(self.board.notes)

    def _ranking(self, ranking: Ranking, width: int) -> list[RenderableType]:
        parts: list[RenderableType] = []
        if ranking.ranked:
            shown = ranking.ranked[: self.top]
            drawn = fitting(self.board, shown, width)
            parts += ["", _entries(shown, drawn)]
            hidden = len(ranking.ranked) - len(shown)
            if hidden:
                parts.append(Text(f"  {hidden} more ranked entries (--top 0 shows all)", "dim"))
            if references := reference_lines(self.board, ranking):
                parts += ["", _references(references)]
            meanings = legend((column for column, _ in drawn), shown)
            parts.append(Padding(Text(meanings, style="dim"), (0, 2)))
        if table := cell_table(ranking, self.board.axes):
            parts += ["", Text(table.title, style="bold"), _cells(crossing(table))]
        if ranking.barred:
            parts += ["", _barred(ranking)]
        if ranking.unranked:
            parts += ["", *self._unranked(ranking)]
        parts += ["", _outcomes(ranking), _lines(self.board.verdict(ranking))]
        return parts

    def _unranked(self, ranking: Ranking) -> list[RenderableType]:
        top = None if self.top is None else UNRANKED_TOP
        shown = ranking.unranked[:top]
        table = _table("not ranked: stopped before the full budget")
        table.add_column("entry", no_wrap=True, overflow="ellipsis")
        table.add_column("outcome", no_wrap=True)
        table.add_column("last rung", justify="right")
        table.add_column("value there", justify="right")
        table.add_column("cause", no_wrap=True, overflow="ellipsis", max_width=60)
        for entry in shown:
            outcome = Text(entry.outcome, style=OUTCOME_STYLES[entry.outcome])
            table.add_row(
                Text(entry.first.label),
                outcome,
                *map(Text, rung_texts(entry.last_rung)),
                Text(entry.cause),
            )
        hidden = len(ranking.unranked) - len(shown)
        more = [Text(f"  {hidden} more not ranked (--top 0 shows all)", "dim")] if hidden else []
        return [table, *more]


def _entries(places: tuple[Ranked, ...], drawn: list[tuple[Column, int]]) -> Table:
    """Ranked entries, a thin rule between tiers; `drawn` are the columns with their widths."""
    told_apart = not all(place.may_be_best for place in places)
    table = _table("")
    for column, size in drawn:
        table.add_column(
            Text(column.header.replace(" ", "\n", 1)),
            justify="left" if column.text else "right",
            no_wrap=True,
            overflow="ellipsis",
            width=size,
        )
    for k, place in enumerate(places):
        last = k + 1 == len(places) or places[k + 1].tier != place.tier
        table.add_row(
            *(Text(column.cell(place.entry, place)) for column, _ in drawn),
            style="bold" if place.may_be_best and told_apart else "",
            end_section=last,
        )
    return table


def _references(lines: list[list[str]]) -> Table:
    """What is measured beside the entries, without a rank."""
    table = _table("references: no entries")
    for k, name in enumerate(lines[0]):
        table.add_column(name, justify="right" if k else "left", no_wrap=True)
    for line in lines[1:]:
        table.add_row(*map(Text, line))
    return table


def _barred(ranking: Ranking) -> Table:
    """Entries that cannot win, with their scores."""
    table = _table("barred: not compared, whatever the score")
    table.add_column("entry", no_wrap=True, overflow="ellipsis")
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column("why")
    for line in barred_lines(ranking):
        table.add_row(*map(Text, line), style="red")
    return table


def _cells(crossed: Crossing) -> Table:
    """One axis down, the next across: best / median (trials)."""
    table = _table("")
    table.add_column("")
    for name in crossed.across:
        table.add_column(Text(name), justify="right", no_wrap=True)
    for name, line in crossed.lines:
        table.add_row(Text(name), *map(_cell, line))
    return table


def _cell(cell: Cell | None) -> Text:
    if cell is None:
        return Text(NONE, style="dim")
    if cell.verdict == "inconclusive":
        return Text(f"inconclusive ({cell.compared} of {cell.started})", style="dim italic")
    style = "bold" if cell.may_be_best else ""
    text = Text(number(cell.best), style=style)
    return text.append(f" / {number(cell.median)} ({cell.compared})", style="dim")


def _outcomes(ranking: Ranking) -> Text:
    text = Text(f"{len(ranking.rows)} trials: ")
    for k, (name, count) in enumerate(count_outcomes(ranking.rows).items()):
        text.append(", " if k else "").append(f"{count} {name}", style=OUTCOME_STYLES[name])
    return text


def _table(title: str) -> Table:
    return Table(
        title=Text(title) if title else None,
        title_justify="left",
        title_style="bold",
        header_style="dim",
        border_style="dim",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
        padding=(0, 1, 0, 0),
    )


def _lines(lines: Sequence[str]) -> RenderableType:
    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True, style="dim")
    grid.add_column()
    for line in lines:
        head, colon, body = line.partition(": ")
        if colon and len(head) < 18:
            grid.add_row(Text(head), Text(body, style="bold" if head == "verdict" else ""))
        else:
            grid.add_row(Text("note"), Text(line))
    return grid
