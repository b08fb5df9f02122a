"""A board as Markdown, CSV or JSON. What is simulated says so in each."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable

from leaderboards.board import Board
from leaderboards.cells import Cell, cells
from leaderboards.columns import LEGEND, columns, number
from leaderboards.rank import Ranking


def to_json(board: Board) -> str:
    """The whole board, with a list `entries`; every number as measured, none non-finite."""
    return json.dumps(board.to_dict(), indent=2, allow_nan=False, ensure_ascii=False)


def to_csv(board: Board) -> str:
    """One line an entry, ranked or not; nested numbers as their own columns."""
    lines = []
    for entry in board.to_dict()["entries"]:
        flat = {}
        for key, value in entry.items():
            if key in ("stability", "throughput"):
                flat.update(value)
            elif key == "seeds":
                flat["seeds"] = " ".join(str(seed["seed"]) for seed in value)
            elif isinstance(value, dict):
                flat[key] = json.dumps(value, sort_keys=True)
            else:
                flat[key] = value
        lines.append(flat)
    out = io.StringIO()
    names = list(lines[0]) if lines else ["entry_id"]
    writer = csv.DictWriter(out, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return out.getvalue()


def to_markdown(board: Board, *, top: int | None = None) -> str:
    """Claims, a table of entries for each protocol, the cells, the outcomes."""
    parts = [f"# {_escape(board.title)}", _list(board.claims)]
    for ranking in board.rankings:
        if len(board.rankings) > 1:
            parts.append(
                f"## {ranking.workload}, {ranking.scale}, protocol {ranking.protocol_digest}"
            )
        parts += [part for part in _ranking(ranking, top) if part]
    if board.outcomes:
        parts.append("## Outcomes")
        parts.append(_list(f"{name}: {count}" for name, count in board.outcomes.items()))
    return "\n\n".join(parts) + "\n"


def _ranking(ranking: Ranking, top: int | None) -> list[str]:
    parts = []
    if ranking.ranked:
        shown = ranking.ranked[:top]
        drawn = columns(shown)
        rows = [[column.cell(place.entry, place) for column in drawn] for place in shown]
        parts.append(_table([column.header for column in drawn], rows))
        if len(shown) < len(ranking.ranked):
            parts.append(f"{len(ranking.ranked) - len(shown)} more ranked entries.")
        parts.append(LEGEND)
        grid = cells(ranking)
        setups = sorted({cell.preconditioning for cell in grid})
        by_architecture: dict[str, list[str]] = {}
        for cell in grid:
            by_architecture.setdefault(cell.architecture, []).append(cell_text(cell))
        parts.append("### Architecture and setup: best / median (full-budget trials)")
        parts.append(
            _table(["", *setups], [[name, *texts] for name, texts in by_architecture.items()])
        )
    if ranking.unranked:
        parts.append("### Not ranked")
        rows = [
            [e.first.label, e.outcome, *rung_texts(e.last_rung), e.cause] for e in ranking.unranked
        ]
        parts.append(_table(["entry", "outcome", "last rung", "value there", "cause"], rows))
    return parts


def cell_text(cell: Cell) -> str:
    """'61.2 / 70.4 (3)', or why there is nothing to say."""
    if cell.verdict == "inconclusive":
        return f"inconclusive ({cell.completed} of {cell.started})"
    return f"{number(cell.best)} / {number(cell.median)} ({cell.completed})"


def rung_texts(rung: object) -> list[str]:
    """The last rung as (share of the budget, value)."""
    if not isinstance(rung, dict):
        return ["-", "-"]
    return [f"{float(rung['fraction']):.0%}", number(float(rung["value"]))]


def _table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(_escape(cell) for cell in line) + " |" for line in lines)


def _list(lines: Iterable[str]) -> str:
    return "\n".join(f"- {_escape(line)}" for line in lines)


def _escape(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
