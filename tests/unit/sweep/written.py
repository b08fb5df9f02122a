"""Records as a journal has them, one by one: for folds and readers that need no engine."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bench.sweep.record.history import Record
from tests.unit.sweep import fakes

PARAMS = {"architecture": "adm", "preconditioning": "edm"}
END: Record = {"kind": "end", "t": 10.0, "summary": {}}


def plan_record(**changes: Any) -> Record:
    """Four trials of two rungs, pruned."""
    two_rungs = {"trials": 4, "rungs": (0.5, 1.0), "keep": (0.5,)}
    return {"kind": "plan", **fakes.plan(**{**two_rungs, **changes}).to_dict()}


def suggest(
    number: int, t: float = 0.0, protected: bool = False, origin: str = "cell", **params: Any
) -> Record:
    return {
        "kind": "suggest",
        "trial": number,
        "t": t,
        "trial_id": f"entry-{number}-s0",
        "entry_id": f"entry-{number}",
        "seed": 0,
        "label": f"trial {number}",
        "protected": protected,
        "origin": origin,
        "params": {**PARAMS, **params},
        "distributions": {},
        "cost": {"parameters": 1, "forward_flops": 1, "training_flops": 3},
        "config": {
            "train": {
                "device": "cpu",
                "threads": 2,
                "workers": 1,
                "rungs_nimg": [8, 16, 24],
            }
        },
    }


def start(number: int, t: float) -> Record:
    return {"kind": "start", "trial": number, "t": t, "host": "here", "pid": 1}


def report(number: int, nimg: int, rung: int | None = None, **body: Any) -> Record:
    """Progress, or of a rung; without another `value` a rung's is 1."""
    whole: Record = {
        "kind": "report",
        "trial": number,
        "nimg": nimg,
        "phase": "progress" if rung is None else "rung",
        "rung": rung,
        "t": 5.0,
        "metrics": {},
        "seconds": {},
        "value": None if rung is None else 1.0,
    }
    return {**whole, **body}


def outcome(number: int, name: str, t: float = 9.0) -> Record:
    return {"kind": "outcome", "trial": number, "outcome": name, "cause": "why", "t": t}


def session(event: str, t: float) -> Record:
    return {"kind": "session", "event": event, "t": t}


def extend(t: float, **plan: Any) -> Record:
    return {"kind": "extend", "t": t, "plan": plan}


def write_journal(path: Path, records: Iterable[Any]) -> Path:
    """A journal of just these contents, each with a right checksum and, of mappings, its place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        for place, record in enumerate(records):
            numbered = {"n": place, **record} if isinstance(record, dict) else record
            text = json.dumps(numbered).encode()
            file.write(b"%08x %s\n" % (zlib.crc32(text), text))
    return path
