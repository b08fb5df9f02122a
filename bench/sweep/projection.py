"""Journal records as a projection wants them: outcomes with the trial's row and its pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bench.sweep.history import History, Record
from bench.sweep.rows import row


def published(record: Record, history: History, folder: Path) -> Record:
    """A record just applied to `history`, completed from it. Only generated pictures are named."""
    if record["kind"] != "outcome":
        return record
    number = record["trial"]
    trial = history.trials[number]
    place = folder / "trials" / f"{number:04d}"
    files = [{**a, "path": str(place / a["path"])} for a in trial.artifacts]
    whole = row(history.plan, trial).to_dict()
    return {**record, "row": whole, "artifacts": [f for f in files if Path(f["path"]).exists()]}


def replay(records: list[Record], folder: Path) -> Iterator[Record]:
    """A whole journal as it would have been published while it was written."""
    history = History()
    for record in records:
        history.apply(record)
        yield published(record, history, folder)
