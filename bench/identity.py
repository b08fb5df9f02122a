"""What makes two configurations one: their values, but late defaults and places of files."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from bench.doors import WEIGHTS, is_outside, weights_of
from bench.errors import BenchError

# of a field that came later: at its default it is no part of an entry's identity, so that entries
# recorded before it keep theirs
LATE = {"late": True}


def identity(part: Any) -> dict[str, Any]:
    """As `asdict`, without the late fields that are at their default."""
    return {
        f.name: identity(value) if dataclasses.is_dataclass(value) else value
        for f in dataclasses.fields(part)
        if (value := getattr(part, f.name)) != f.default or not f.metadata.get("late")
    }


def by_content(value: Any) -> Any:
    """The same values, where each "file.py:attr" has the digest of the file in place of its folder,
    and so has each "NAME@FILE.safetensors".

    Raises:
        BenchError: such a file is not there.
    """
    if isinstance(value, Mapping):
        return {key: by_content(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [by_content(v) for v in value]
    if not isinstance(value, str):
        return value
    weights = weights_of(value)
    if weights is not None:
        return f"{value.partition('@')[0]}@{weights.name}@{_content(weights)}"
    head, _, more = value.partition(":")
    if head.isidentifier() and is_outside(more):
        return f"{head}:{by_content(more)}"
    if not is_outside(value):
        return value
    name, _, attr = value.partition(":")
    return f"{Path(name).name}:{attr}@{_content(Path(name))}"


def _content(path: Path) -> str:
    if not path.is_file():
        raise BenchError(f"file {path} does not exist; put it back where it was")
    if path.suffix != WEIGHTS:
        return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    known = path.stat()
    return _digest_of_weights(path, known.st_mtime_ns, known.st_size)


@lru_cache(maxsize=16)
def _digest_of_weights(path: Path, mtime_ns: int, size: int) -> str:
    """Read once while they stay as they are: weights are large."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def canonical(body: Any) -> str:
    """JSON with sorted keys: the text a digest is taken of. Tuples read as lists.

    Raises:
        BenchError: a value that JSON does not have.
    """
    try:
        return json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise BenchError(f"a configuration holds plain finite values only: {error}") from error


def digest(body: Any) -> str:
    """The first 16 hex digits of the SHA-256 of the canonical JSON."""
    return hashlib.sha256(canonical(body).encode()).hexdigest()[:16]
