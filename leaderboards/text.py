"""A board as Markdown, CSV or JSON. What is simulated says so in each."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from typing import Any

from leaderboards.board import Board
from leaderboards.cells import Cell, cell_table, crossing
from leaderboards.columns import NONE, columns, decimals_for, legend, number, with_error
from leaderboards.rank import Ranking
from leaderboards.rows import ABSENT


def to_json(board: Board) -> str:
    """The whole board, with a list `entries`; every number as measured, none non-finite."""
    return json.dumps(board.to_dict(), indent=2, allow_nan=False, ensure_ascii=False)


def to_csv(board: Board) -> str:
    """One line an entry, ranked or not, then one a reference; a column for each cell axis and each
    value's key.

    The data's problems stand in the last column of every line.
    """
    content = board.to_dict()
    rows = [*content["entries"], *content["references"]]
    keys = sorted({key for entry in rows for key in entry["values"]})
    lines = [_flat(board, entry, keys) for entry in rows]
    out = io.StringIO()
    names = list(lines[0]) if lines else ["entry_id"]
    writer = csv.DictWriter(out, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return out.getvalue()


def _flat(board: Board, entry: dict[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    """An entry of the JSON form as one line; params, a rung and the like as JSON."""
    flat: dict[str, Any] = {}
    for name, value in entry.items():
        if name == "cell":
            flat |= {axis: value.get(axis, ABSENT) for axis in board.axes}
        elif name == "values":
            flat |= {key: value.get(key) for key in keys}
        elif name == "seeds":
            flat["seeds"] = " ".join(str(seed["seed"]) for seed in value)
        else:
            flat[name] = json.dumps(value, sort_keys=True) if isinstance(value, dict) else value
    notes = board.data_notes(seed["sweep"] for seed in entry["seeds"])
    return {**flat, "data_notes": "; ".join(notes)}


def to_markdown(board: Board, *, top: int | None = None) -> str:
    """Claims, a table of entries for each protocol, the cells, the outcomes."""
    parts = [f"# {_escape(board.title)}", _list(board.claims)]
    for ranking in board.rankings:
        if len(board.rankings) > 1:
            parts.append(
                f"## {ranking.workload}, {ranking.scale}, protocol {ranking.protocol_digest}"
            )
        parts += [part for part in _ranking(board, ranking, top) if part]
    if board.outcomes:
        parts.append("## Outcomes")
        parts.append(_list(f"{name}: {count}" for name, count in board.outcomes.items()))
    return "\n\n".join(parts) + "\n"


def _ranking(board: Board, ranking: Ranking, top: int | None) -> list[str]:
    parts = []
    if ranking.ranked:
        shown = ranking.ranked[:top]
        drawn = columns(board, shown)
        rows = [[column.cell(place.entry, place) for column in drawn] for place in shown]
        parts.append(_table([column.header for column in drawn], rows))
        if len(shown) < len(ranking.ranked):
            parts.append(f"{len(ranking.ranked) - len(shown)} more ranked entries.")
        if references := reference_lines(board, ranking):
            parts.append("### References")
            parts.append(_table(references[0], references[1:]))
        parts.append(legend(drawn, shown))
    if table := cell_table(ranking, board.axes):
        parts.append(f"### {table.title}")
        crossed = crossing(table)
        lines = [[name, *map(cell_text, line)] for name, line in crossed.lines]
        parts.append(_table(["", *crossed.across], lines))
    if ranking.barred:
        parts.append("### Barred")
        parts.append(_table(["entry", "score", "why it cannot win"], barred_lines(ranking)))
    if ranking.unranked:
        parts.append("### Not ranked")
        rows = [
            [e.first.label, e.outcome, *rung_texts(e.last_rung), e.cause] for e in ranking.unranked
        ]
        parts.append(_table(["entry", "outcome", "last rung", "value there", "cause"], rows))
    return parts


def cell_text(cell: Cell | None) -> str:
    """'61.2 / 70.4 (3)', or why there is nothing to say; NONE where no trial was."""
    if cell is None:
        return NONE
    if cell.verdict == "inconclusive":
        return f"inconclusive ({cell.compared} of {cell.started})"
    return f"{number(cell.best)} / {number(cell.median)} ({cell.compared})"


def barred_lines(ranking: Ranking) -> list[list[str]]:
    """Of each barred entry its name, its score and why."""
    return [
        [one.entry.first.label, number(one.entry.score), one.failure.text] for one in ranking.barred
    ]


REFERENCE_HEADER = ("reference", "score ± sampling", "copied share", "to train", "pictures")


def reference_lines(board: Board, ranking: Ranking) -> list[list[str]]:
    """A header, then of each reference its name, its score, what it shares with entries, and its
    size; without columns that no reference has a value in. Nothing where there are none."""
    measure = ranking.measure
    found = board.references(ranking)
    digits = decimals_for([one.values.get(measure.se_key) for one in found])
    lines = [
        [
            one.title,
            with_error(one.score(measure), one.values.get(measure.se_key), digits),
            number(one.values.get("eval/copied")),
            number(one.values.get(f"{measure.key}_train")),
            NONE if one.count is None else str(one.count),
        ]
        for one in found
    ]
    known = [
        column for column in zip(REFERENCE_HEADER, *lines, strict=True) if {*column[1:]} - {NONE}
    ]
    return [list(line) for line in zip(*known, strict=True)]


def rung_texts(rung: object) -> list[str]:
    """The last rung as (share of the budget, value)."""
    if not isinstance(rung, dict):
        return ["-", "-"]
    return [f"{100 * float(rung['fraction']):.3g} %", number(float(rung["value"]))]


def _table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(_escape(cell) for cell in line) + " |" for line in lines)


def _list(lines: Iterable[str]) -> str:
    return "\n".join(f"- {_escape(line)}" for line in lines)


def _escape(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
