"""The table of recorded trials: one row a trained network, in a CSV, with its provenance beside it.

`FILE.csv` is appended row by row; what a kill left of a last row is cut off when it is next opened.
`FILE.json` says how the rows were made: what they share and must go on sharing (the scale with its
rungs and budget, the search space, the sets' digests), and each call that added rows.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.errors import BenchError

WITNESSES = ("fd_randconv", "fd_drawn", "denoise_error")  # of a rung and of the end
ERROR = "_se"


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """One trained network. rungs: at each rung it reached, its measures on select; report: its
    measures at the end. Seconds are CPU seconds of its process: training, and all; at a rung
    those spent until its report."""

    data: str
    number: int
    seed: int
    params: Mapping[str, Any]
    outcome: str
    cause: str = ""
    parameters: int = 0
    nimg: int = 0
    tflop: float = 0.0  # of training
    train_sec: float = 0.0
    all_sec: float = 0.0
    rungs: Sequence[Mapping[str, float]] = ()
    rung_nimg: Sequence[int] = ()
    rung_train_sec: Sequence[float] = ()
    rung_all_sec: Sequence[float] = ()
    report: Mapping[str, float] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, int, int]:
        return self.data, self.number, self.seed


PLAIN = ("outcome", "cause", "parameters", "nimg", "tflop", "train_sec", "all_sec")
AT_RUNGS = ("nimg", "train_sec", "all_sec")


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The columns. params: of the search space, in its order; a row leaves those empty that its
    other choices do not have. score: the first of the measures."""

    params: tuple[str, ...]
    score: str
    rungs: int

    @property
    def measures(self) -> tuple[str, ...]:
        return self.score, *(key for key in WITNESSES if key != self.score)

    @property
    def columns(self) -> list[str]:
        at_rungs = [
            f"rung{place}/{key}"
            for place in range(self.rungs)
            for key in (*self.measures, *AT_RUNGS)
        ]
        ends = [self.score, f"{self.score}{ERROR}", *self.measures[1:]]
        return [
            "set", "number", "seed", *self.params, *PLAIN, *at_rungs,
            *(f"report/{key}" for key in ends),
        ]  # fmt: skip

    def line(self, row: Recorded) -> str:
        """A row as a line of the file."""
        cells: dict[str, Any] = {"set": row.data, "number": row.number, "seed": row.seed}
        cells |= {key: row.params.get(key) for key in self.params}
        cells |= {key: getattr(row, key) for key in PLAIN}
        for place, measures in enumerate(row.rungs):
            spent = {key: getattr(row, f"rung_{key}")[place] for key in AT_RUNGS}
            cells |= {f"rung{place}/{key}": value for key, value in {**measures, **spent}.items()}
        cells |= {f"report/{key}": value for key, value in row.report.items()}
        return _joined([_text(cells.get(key)) for key in self.columns])

    def read(self, cells: Mapping[str, str]) -> Recorded:
        """A row from the cells of a line."""
        known = {key: _value(text) for key, text in cells.items() if text}
        places = [place for place in range(self.rungs) if f"rung{place}/nimg" in known]

        def under(part: str) -> dict[str, float]:
            return {
                key.removeprefix(part): value
                for key, value in known.items()
                if key.startswith(part) and key.removeprefix(part) not in AT_RUNGS
            }

        spent: dict[str, Any] = {
            f"rung_{key}": tuple(known[f"rung{place}/{key}"] for place in places)
            for key in AT_RUNGS
        }
        return Recorded(
            data=cells["set"],
            params={key: known[key] for key in self.params if key in known},
            rungs=tuple(under(f"rung{place}/") for place in places),
            report=under("report/"),
            outcome=cells["outcome"],
            cause=cells["cause"],
            **{key: known[key] for key in ("number", "seed", *PLAIN[2:])},
            **spent,
        )


class Table:
    """The file that rows are appended to, with what it holds already.

    Raises:
        BenchError: it has other columns, or its rows were made in another way.
    """

    def __init__(self, path: Path, layout: Layout, shared: Mapping[str, Any]) -> None:
        self.path, self.layout = path, layout
        self.provenance: dict[str, Any] = {"shared": dict(shared), "sets": {}, "calls": []}
        header = _joined(layout.columns)
        if path.exists() and path.stat().st_size:
            self.provenance = provenance_of(path)
            differing = _differing(self.provenance["shared"], _plain(shared))
            text = _whole_lines(path)
            if differing or text[: len(header)] != header:
                raise BenchError(
                    f"{path} was recorded in another way ({', '.join(differing) or 'columns'}); "
                    "give another file, or go on with what it was begun with"
                )
            path.write_text(text, newline="")
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(header, newline="")
        self.rows = _rows(path, layout)
        self.known = {row.key for row in self.rows}

    def begin(self, call: Mapping[str, Any], sets: Mapping[str, str]) -> None:
        """Say which call adds rows, and the digests of its sets.

        Raises:
            BenchError: a set is no longer what it was.
        """
        for name, digest in sets.items():
            before = self.provenance["sets"].setdefault(name, digest)
            if before != digest:
                raise BenchError(f"{self.path}: set {name} was {before} and is {digest} now")
        self.provenance["calls"].append(dict(call))
        place = self.path.with_suffix(".json")
        place.write_text(json.dumps(self.provenance, indent=1) + "\n")

    def append(self, row: Recorded) -> None:
        """Add a row; it is in the file when this returns."""
        with self.path.open("a", newline="") as file:
            file.write(self.layout.line(row))
        self.rows.append(row)
        self.known.add(row.key)


def provenance_of(path: Path) -> dict[str, Any]:
    """What stands beside a table.

    Raises:
        BenchError: nothing does.
    """
    place = path.with_suffix(".json")
    if not place.exists():
        raise BenchError(f"{place} is missing, which says how the rows of {path.name} were made")
    read: dict[str, Any] = json.loads(place.read_text())
    return read


def read_tables(paths: Sequence[Path]) -> tuple[list[Recorded], dict[str, Any]]:
    """The rows of several files that were made alike, and what they share.

    Raises:
        BenchError: they were not made alike.
    """
    found = [provenance_of(path) for path in paths]
    rows: dict[tuple[str, int, int], Recorded] = {}
    for path, provenance in zip(paths, found, strict=True):
        differing = _differing(found[0]["shared"], provenance["shared"])
        for name, digest in provenance["sets"].items():
            if found[0]["sets"].get(name, digest) != digest:
                differing.append(f"set {name}")
        if differing:
            raise BenchError(f"{path} was not recorded as {paths[0]}: {', '.join(differing)}")
        shared = provenance["shared"]
        layout = Layout(
            params=tuple(shared["space"]), score=shared["score"], rungs=len(shared["rungs"])
        )
        rows |= {row.key: row for row in _rows(path, layout)}
    return list(rows.values()), found[0]["shared"]


def _rows(path: Path, layout: Layout) -> list[Recorded]:
    return [layout.read(cells) for cells in csv.DictReader(io.StringIO(_whole_lines(path)))]


def _whole_lines(path: Path) -> str:
    """The text up to its last end of a line."""
    text = path.read_bytes().decode()
    return text[: text.rfind("\n") + 1]


def _differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    return sorted(key for key in {*one, *other} if one.get(key) != other.get(key))


def _plain(body: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON gives it back: lists, not tuples."""
    plain: dict[str, Any] = json.loads(json.dumps(body))
    return plain


def _joined(cells: Sequence[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()


def _text(value: Any) -> str:
    """An empty cell, a word, or a number as JSON has it; of a text of many lines the first."""
    if value is None:
        return ""
    return value.partition("\n")[0] if isinstance(value, str) else json.dumps(value)


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
