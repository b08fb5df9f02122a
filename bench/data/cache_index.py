"""The index of a cache, index.json: one record, checked in every field when it is read.

A checksum of the fields stands beside them, so that a changed digit is noticed.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.data.value_range import DTYPES, ValueRange

FORMAT = 2
_ADDED = frozenset({"mask_names"})  # since caches of this format were first written


@dataclass(frozen=True, kw_only=True)
class CacheIndex:
    """What index.json holds; shape is [N, C, *spatial]. The rest as in `cache.CachedImages`."""

    digest: str
    shape: tuple[int, ...]
    dtype: str
    value_range: ValueRange
    sigma_data: float
    name: str
    simulated: bool
    subject_ids: tuple[str, ...] = ()  # hashed
    label_names: tuple[str, ...] = ()
    mask_count: int = 0
    vector_names: tuple[str, ...] = ()
    mask_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    record_notes: tuple[str, ...] = ()
    meta: Mapping[str, Any] = field(default_factory=dict)


def write_index(path: Path, index: CacheIndex) -> None:
    body = {"format": FORMAT, **dataclasses.asdict(index)}
    path.write_text(json.dumps({"checksum": _checksum(body), **body}, indent=1))


def read_index(path: Path) -> CacheIndex:
    """Raises ValueError for anything that `write_index` did not write; OSError without a file."""
    body = json.loads(path.read_bytes())
    if not isinstance(body, dict):
        raise ValueError(f"{path.name} is no record")
    if body.get("format") != FORMAT:
        raise ValueError(f"{path.name} has format {body.get('format')!r}, not {FORMAT}")
    checksum = body.pop("checksum", None)
    if checksum != _checksum(body):
        raise ValueError(f"{path.name} does not have its checksum")
    body.pop("format")
    wanted = {f.name for f in dataclasses.fields(CacheIndex)}
    complete = wanted - _ADDED <= set(body) <= wanted
    if not complete or not all(_CHECKS[name](value) for name, value in body.items()):
        raise ValueError(f"{path.name} has fields that are missing or of a wrong type")
    lists = {name: tuple(value) for name, value in body.items() if isinstance(value, list)}
    return CacheIndex(**{**body, **lists})


def _checksum(body: Mapping[str, Any]) -> str:
    text = json.dumps(body, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_range(value: Any) -> bool:
    return (
        isinstance(value, list)
        and [type(item) for item in value] == [float, float]
        and value[0] < value[1]
    )


_CHECKS: dict[str, Callable[[Any], bool]] = {
    "digest": lambda v: isinstance(v, str),
    "shape": lambda v: isinstance(v, list) and len(v) in (4, 5) and all(map(_is_count, v)),
    "dtype": lambda v: v in DTYPES,
    "value_range": _is_range,
    "sigma_data": lambda v: isinstance(v, float) and 0 < v < float("inf"),
    "name": lambda v: isinstance(v, str),
    "simulated": lambda v: isinstance(v, bool),
    "subject_ids": _is_texts,
    "label_names": _is_texts,
    "mask_count": lambda v: v == 0 or _is_count(v),
    "vector_names": _is_texts,
    "mask_names": _is_texts,
    "notes": _is_texts,
    "record_notes": _is_texts,
    "meta": lambda v: isinstance(v, dict),
}
