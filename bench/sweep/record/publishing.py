"""Journal records as a projection wants them: outcomes with the trial's row and its pictures, and
what was found after them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from bench.sweep.record.board_rows import row
from bench.sweep.record.history import History, Record

REFERENCE = "reference.png"  # pictures of the report part, in the sweep's folder
FINDINGS = "studies"  # beside the folder of all sweeps: what studies found, by sweep


def published(record: Record, history: History, folder: Path) -> Record:
    """A record just applied to `history`, completed from it.

    Beside a completed trial's own pictures go those of the `report` part it was judged by, marked
    real unless they are simulated: real ones leave the disk only where the user said so.
    """
    if record["kind"] == "found":
        place = folder.parent.parent / FINDINGS / folder.name
        files = [{**a, "path": str(place / a["path"])} for a in record["artifacts"]]
        return {**record, "artifacts": [f for f in files if Path(f["path"]).exists()]}
    if record["kind"] not in ("outcome", "tuned"):
        return record
    number = record["trial"]
    trial = history.trials[number]
    place = folder / "trials" / f"{number:04d}"
    files = [{**a, "path": str(place / a["path"])} for a in trial.artifacts]
    if files:
        simulated = history.plan.data["simulated"]
        files.append({"name": REFERENCE, "path": str(folder / REFERENCE), "real": not simulated})
    whole = row(history.plan, trial).to_dict()
    return {**record, "row": whole, "artifacts": [f for f in files if Path(f["path"]).exists()]}


class Publisher:
    """A listener of an engine that hands on each record, completed from the history so far.

    A sweep taken up again first gives it the records from before; whoever receives them knows
    what it has.
    """

    def __init__(self, put: Callable[[Record], None], sweeps: Path) -> None:
        self._put, self._sweeps, self._history = put, sweeps, History()

    def __call__(self, record: Record) -> None:
        self._history.apply(record)
        folder = self._sweeps / self._history.plan.sweep
        self._put(published(record, self._history, folder))


def replay(records: list[Record], folder: Path) -> Iterator[Record]:
    """A whole journal as it would have been published while it was written."""
    history = History()
    for record in records:
        history.apply(record)
        yield published(record, history, folder)
