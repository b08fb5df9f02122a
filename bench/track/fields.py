"""What records and rows become in MLflow: names, parameters, metrics, tags. Pure functions.

Keys: `eval/<metric>` final, `rung/<metric>` at rungs, `train/...` curves, `bench.<fact>` tags.
Nothing here says where files lie: values that are paths are left out, and paths inside a text are
hidden.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from leaderboards.rows import Row
from leaderboards.scrubbing import base_name, public_label, scrubbed, without_places

Record = Mapping[str, Any]
Point = tuple[str, float, int, int]  # key, value, timestamp in ms, step in images

PRIVATE = ("group_by", "cache")  # keys of a plan that tell of the user's files
USER_FILES = ("space",)  # keys whose value may be a user's file: its name stays, its folder not
CHUNK = 4900  # characters a tag: MLflow 3.17 takes 8000, a column of an older server may hold 5000
PARAM_LENGTH = 500
PREFIX = {"progress": "train", "rung": "rung", "final": "eval", "end": "eval"}
STATUS = {
    "completed": "FINISHED",
    "pruned": "FINISHED",  # stopped as planned; the tag bench.outcome tells it from completed
    "diverged": "FAILED",
    "out-of-memory": "FAILED",
    "failed": "FAILED",
    "waiting": "SCHEDULED",  # at a rung, to be promoted or not
    "interrupted": "KILLED",
}


def milliseconds(t: float) -> int:
    """Unix seconds as MLflow's integer milliseconds."""
    return round(t * 1000)


def metric_key(key: str, phase: str) -> str:
    """The key with its phase in front where it has none, in characters that MLflow accepts."""
    named = key if "/" in key else f"{PREFIX.get(phase, phase)}/{key}"
    return re.sub(r"[^\w\-. :/]", "_", named, flags=re.ASCII)


def report_points(record: Record) -> list[Point]:
    """The metrics of a report, its curve first; step is nimg."""
    phase, t = str(record["phase"]), milliseconds(record["t"])
    points = []
    for sample in (*record.get("curve", ()), {"nimg": record["nimg"], **record["metrics"]}):
        step = int(sample["nimg"])
        for key, value in sample.items():
            if key != "nimg" and _is_number(value):
                points.append((metric_key(key, phase), float(value), t, step))
    return points


def row_points(row: Row, t: int, step: int, known: set[str]) -> list[Point]:
    """The numbers of a finished trial's row that its reports have not said already."""
    score = row.score_measure
    values = {score.key: row.score, score.se_key: row.score_se, "eval/select": row.select}
    values |= {metric_key(key, "eval"): value for key, value in row.values.items()}
    return [
        (key, float(value), t, step)
        for key, value in values.items()
        if value is not None and key not in known
    ]


def params(flat: Mapping[str, Any]) -> dict[str, str]:
    """Flat parameters as strings; nested ones joined with dots, paths left out."""
    return {
        metric_key(key, "").lstrip("/"): text[:PARAM_LENGTH]
        for key, value in _flatten(flat)
        if not is_path(value) and (text := without_places(str(value)))
    }


def chunked(key: str, text: str) -> dict[str, str]:
    """A long text as tags key, key.2, key.3, ... of at most CHUNK characters each."""
    pieces = [text[k : k + CHUNK] for k in range(0, len(text), CHUNK)] or [""]
    return {key if k == 0 else f"{key}.{k + 1}": piece for k, piece in enumerate(pieces)} | {
        f"{key}.length": str(len(text))
    }


def joined(key: str, tags: Mapping[str, str]) -> str | None:
    """The text that `chunked` split; None where it is absent or not whole."""
    text, k = tags.get(key), 2
    if text is None:
        return None
    while f"{key}.{k}" in tags:
        text += tags[f"{key}.{k}"]
        k += 1
    length = int(tags.get(f"{key}.length", len(text)))
    return text[:length] if len(text) >= length else None


def public(value: Any) -> Any:
    """A copy of plain data that tells nothing of where files lie on this machine."""
    if isinstance(value, Mapping):
        return {
            base_name(str(k)): base_name(v) if k in USER_FILES and isinstance(v, str) else public(v)
            for k, v in value.items()
            if k not in PRIVATE and (k in USER_FILES or not is_path(v))
        }
    if isinstance(value, list | tuple):
        return [public(item) for item in value if not is_path(item)]
    return scrubbed(value)


def is_path(value: object) -> bool:
    """Whether a value names a place in a file system (absolute, home, or file URL)."""
    if not isinstance(value, str) or "\n" in value:
        return False
    return (
        value.startswith(("~", "file:", "./", "../"))
        or PurePosixPath(value).is_absolute()
        or PureWindowsPath(value).is_absolute()
    )


def canonical(record: Any) -> str:
    """JSON with sorted keys: the same text for the same facts."""
    return json.dumps(record, sort_keys=True, separators=(",", ":"), default=str)


def stored(record: Any) -> str:
    """JSON as it is read back: keys in their own order, numbers to the last bit."""
    return json.dumps(record, separators=(",", ":"))


def summary_points(summary: Mapping[str, Any], t: int) -> list[Point]:
    """The numbers of a sweep's summary, as metrics of the parent run."""
    return [
        (metric_key(key, "sweep"), float(value), t, 0)
        for key, value in summary.items()
        if _is_number(value)
    ]


def trial_name(suggest: Record) -> str:
    """'007 ddpmpp-edm adam 2e-3 b32'."""
    label = public_label(str(suggest["label"]), suggest["params"])
    return f"{int(suggest['trial']):03d} {without_places(label)}"


def cell_tags(cell: Mapping[str, str]) -> dict[str, str]:
    """'bench.cell.<axis>' -> the choice on it."""
    return {f"bench.cell.{axis}": choice for axis, choice in cell.items()}


def data_kind(simulated: object) -> str:
    return "simulated" if simulated else "real"


def description(plan: Record, claims: Sequence[str] = ()) -> str:
    """The note MLflow shows on a run's page."""
    data = plan.get("data") or {}
    if data.get("simulated"):
        label = "**Simulated data**: drawn by the program, no patient's images."
    else:
        label = "Real data."
    return "\n".join([label, *(f"- {line}" for line in claims)])


def _flatten(flat: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in flat.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _is_number(value: object) -> bool:
    """A number MLflow can hold as it is: not a bool, not infinite (NaN it stores as NaN)."""
    return isinstance(value, int | float) and not isinstance(value, bool) and not math.isinf(value)
