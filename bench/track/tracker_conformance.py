"""What every tracker must do, checked on a small journal: `bench.track.tracker.Tracker`'s contract.

It runs on a tracker that comes from a user's file before a command takes it, and on ours in the
tests. All is written into folders that are thrown away.
"""

from __future__ import annotations

import base64
import copy
import json
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.track.fields import Record
from bench.track.tracker import Opener, Tracker

SECRET = "withheld"  # stands in every path of the journal
REAL, DRAWN = b"real patient", b"drawn picture"  # at the end of the pictures' files
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)
PIECES = (1, 2, 5, 6, 9, 13)  # records after which another tracker goes on, as after a kill

Snapshot = Callable[[Path], Any]
Check = Callable[[Opener, Snapshot, Path], str]  # in an empty folder: what is wrong, or nothing


def check(opener: Opener, name: str, snapshot: Snapshot | None = None) -> int:
    """How many checks a tracker passes; raises BenchError at the first that it does not.

    `snapshot` gives what a tracker wrote below a home, in a form that can be compared; by default
    every file with its content. A tracker that writes elsewhere cannot be compared and fails.
    """
    look = snapshot or files_below
    checks: Sequence[Check] = (
        _opens_without_writing,
        _is_idempotent,
        _goes_on_in_pieces,
        _tells_no_place,
        _keeps_real_pictures,
        _refuses_what_is_no_record,
    )
    for one in checks:
        with tempfile.TemporaryDirectory(prefix="bench-tracker-") as folder:
            try:
                problem = one(opener, look, Path(folder))
            except BenchError:
                raise
            except Exception as error:
                problem = f"raises {type(error).__name__}: {error}"
            if problem:
                what = one.__name__.strip("_").replace("_", " ")
                raise BenchError(f"tracker {name} breaks its contract ({what}): {problem}")
    return len(checks)


def files_below(home: Path) -> dict[str, bytes]:
    """Every file a tracker left, but for the locks, which are empty."""
    files = {file: file.read_bytes() for file in sorted(home.rglob("*")) if file.is_file()}
    return {str(file.relative_to(home)): content for file, content in files.items() if content}


def journal(pictures: Path) -> list[dict[str, Any]]:
    """A sweep of three trials: completed, interrupted and then pruned, failed; with paths in
    everything that a user may name, and a real and a simulated picture."""
    at = f"/home/{SECRET}/patients"
    for name, mark in (("real.png", REAL), ("drawn.png", DRAWN)):
        (pictures / name).write_bytes(PIXEL + mark)
    plan = {
        "kind": "plan",
        "sweep": "conformance",
        "workload": "echo",
        "seed": 1,
        "data": {"name": "echo", "simulated": False, "path": at, "group_by": f"{SECRET}-(.*)"},
        "protocol": {"metric": "score"},
        "space": f"{at}/my_space.py:wide",
        "cache": at,
    }
    records: list[dict[str, Any]] = [plan]
    for number, outcome in enumerate(("completed", "pruned", "failed")):
        records.append(_suggestion(number, at))
        records.append({"kind": "start", "trial": number, "host": "here", "pid": 1})
        records.append(_report(number, "rung", 50, 2.0 + number))
        if outcome == "pruned":
            stop = {"kind": "outcome", "trial": number, "outcome": "interrupted", "cause": ""}
            records += [stop, {"kind": "start", "trial": number, "host": "here", "pid": 2}]
        if outcome == "completed":
            records.append(_report(number, "final", 100, 1.0))
        end = {"kind": "outcome", "trial": number, "outcome": outcome}
        end["cause"] = f"cannot read {at}/scan 1.png; mend it" if outcome == "failed" else ""
        end["artifacts"] = [
            {"name": name, "path": str(pictures / name), "real": name == "real.png"}
            for name in ("real.png", "drawn.png")
        ]
        records.append(end)
    records.append({"kind": "session", "event": "close", "cause": ""})
    records.append({"kind": "end", "summary": {"wall_sec": 9.0, "completed": 1}})
    return [{**record, "n": n, "t": 1.79e9 + n} for n, record in enumerate(records)]


def _suggestion(number: int, at: str) -> dict[str, Any]:
    return {
        "kind": "suggest",
        "trial": number,
        "trial_id": f"t{number}",
        "entry_id": f"e{number}",
        "seed": 0,
        "origin": "random",
        "label": f"{at}/my_net.py:build edm",
        "params": {"architecture": f"{at}/my_net.py:build", "lr": 1e-3 * (number + 1)},
    }


def _report(number: int, phase: str, nimg: int, value: float) -> dict[str, Any]:
    curve = [{"nimg": nimg - 10, "train/loss": value / 2}]
    metrics = {("eval" if phase == "final" else phase) + "/score": value, "train/loss": value / 4}
    report = {"kind": "report", "trial": number, "phase": phase, "nimg": nimg}
    return {**report, "metrics": metrics, "curve": curve}


def _projected(opener: Opener, home: Path, records: Iterable[Record]) -> Tracker:
    home.mkdir(exist_ok=True)
    tracker = opener(home, None, False)
    tracker.check()
    tracker.project(records)
    tracker.close()
    return tracker


def _opens_without_writing(opener: Opener, look: Snapshot, folder: Path) -> str:
    tracker = opener(folder, None, False)
    tracker.take(journal(folder)[0])
    left = [path.name for path in folder.iterdir() if path.suffix != ".png"]
    if left:
        return f"opening it and giving it a record wrote {', '.join(left)}"
    words = all(isinstance(word, str) and word for word in (tracker.title, tracker.place))
    return "" if words else "title and place must be texts"


def _is_idempotent(opener: Opener, look: Snapshot, folder: Path) -> str:
    records = journal(folder)
    before = copy.deepcopy(records)
    tracker = _projected(opener, folder / "home", records)
    once = look(folder / "home")
    if not once:
        return "nothing is written below the home folder"
    if records != before:
        return "it changes the records it is given"
    tracker.project()
    tracker.close()
    _projected(opener, folder / "home", records)
    return "" if look(folder / "home") == once else "the same records again changed what was there"


def _goes_on_in_pieces(opener: Opener, look: Snapshot, folder: Path) -> str:
    records = journal(folder)
    _projected(opener, folder / "once", records)
    for stop in PIECES:
        _projected(opener, folder / "pieces", records[:stop])
    tracker = opener(folder / "pieces", None, False)
    for record in records:
        tracker.project([record])
    tracker.close()
    same = look(folder / "pieces") == look(folder / "once")
    return "" if same else "written piece by piece is not what written at once is"


def _tells_no_place(opener: Opener, look: Snapshot, folder: Path) -> str:
    tracker = _projected(opener, folder / "home", journal(folder))
    for file, content in files_below(folder / "home").items():
        if SECRET.encode() in content:
            return f"{file} holds a path of the user's data"
    held = SECRET in json.dumps([tracker.notes, tracker.place])
    return "its notes name a path of the user's data" if held else ""


def _keeps_real_pictures(opener: Opener, look: Snapshot, folder: Path) -> str:
    _projected(opener, folder / "home", journal(folder))
    held = [file for file, text in files_below(folder / "home").items() if REAL in text]
    return f"{held[0]} holds a picture of real images, without --log-real-images" if held else ""


def _refuses_what_is_no_record(opener: Opener, look: Snapshot, folder: Path) -> str:
    tracker = opener(folder, None, False)
    tracker.take(journal(folder)[0])
    tracker.take({"kind": "session", "event": "open", "t": 1.79e9})
    try:
        tracker.take({"kind": "report", "trial": 99})
    except (KeyError, TypeError, ValueError):
        return ""
    return "a report of a trial that was never suggested is taken"
