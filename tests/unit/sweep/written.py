"""Records as a journal has them, one by one: for folds and readers that need no engine."""

from __future__ import annotations

import json
import random
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from optuna.distributions import FloatDistribution, distribution_to_json

from bench.sweep.record.history import OUTCOMES, Record
from leaderboards.rows import ORIGINS
from tests.unit.sweep import fakes

ARCHITECTURES, SETUPS = ("adm", "ddpmpp"), ("edm", "vp")
UP_TO_1 = distribution_to_json(FloatDistribution(0.0, 1.0))
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


def any_records(draw: random.Random, least: int = 1) -> Iterator[Record]:
    """Records of a sweep of three rungs, in any order at all but that a trial is suggested before
    anything is told of it. Values are whole, from `least` to 5: with ties."""
    begun = 0
    kinds = ["suggest", "start", "progress", "rung", "rung", "outcome", "outcome", "other"]
    for t in range(150):
        number = draw.randrange(begun) if begun else 0
        what = draw.choice(kinds) if begun else "suggest"
        if what == "suggest":
            origin, protected = draw.choice(ORIGINS), draw.random() < 0.3
            params = {"architecture": draw.choice(ARCHITECTURES), "lr": draw.random()}
            params |= {"preconditioning": draw.choice(SETUPS), "P_mean": draw.random()}
            body = suggest(begun, t, protected, origin, **params)
            body["config"]["train"]["threads"] = draw.randint(1, 3)
            drawn = ("lr", "P_mean") if params["preconditioning"] == "edm" else ("lr",)
            body["distributions"] = dict.fromkeys(drawn, UP_TO_1)
            yield {**body, "entry_id": f"entry-{draw.randrange(5)}"}
            begun += 1
        elif what == "start":
            yield start(number, t)
        elif what == "progress":
            yield report(number, t)
        elif what == "rung":
            seconds = {"train": draw.random(), "sample": draw.random()}
            value = float(draw.randint(least, 5))
            yield report(number, t, draw.randrange(3), value=value, seconds=seconds)
        elif what == "outcome":
            yield outcome(number, draw.choice(OUTCOMES))
        elif draw.random() < 0.5:
            yield {"kind": "promote", "trial": number, "rung": 0, "t": t}
        elif draw.random() < 0.5:
            given_up = draw.sample(range(begun), draw.randint(0, begun))
            yield extend(t, given_up=given_up, table=draw.random() < 0.5)
        else:
            yield session("open", t)
