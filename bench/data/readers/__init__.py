"""The readers, one module per on-disk layout, and how the one that applies is found."""

from __future__ import annotations

import importlib
from pathlib import Path

from bench.data.readers.reader import Reader
from bench.errors import BenchError, unknown

# Detection goes down this table: a layout comes before the looser ones that would also match it.
TABLE: dict[str, str] = {
    "echonet": "bench.data.readers.echonet",
    "npz": "bench.data.readers.npz",
    "videos": "bench.data.readers.videos",
    "images": "bench.data.readers.images",
}


def load(name: str) -> Reader:
    """The reader of that name, imported when asked for; BenchError for an unknown name."""
    if name not in TABLE:
        raise unknown("reader", name, TABLE)
    reader: Reader = importlib.import_module(TABLE[name])
    return reader


def detect(path: Path, prefer: str) -> tuple[str, Reader]:
    """The reader that applies to `path`: the workload's own layout first, then down the table.

    Raises BenchError when `path` does not exist or no reader finds anything in it, saying what
    was looked for.
    """
    if not path.exists():
        raise BenchError(f"no such data folder or file: {path}")
    names = [prefer, *(name for name in TABLE if name != prefer)]
    readers = [(name, load(name)) for name in names]
    for name, reader in readers:
        if reader.matches(path):
            return name, reader
    looked = "; ".join(f"{name}: {reader.LOOKS_FOR}" for name, reader in readers)
    raise BenchError(f"nothing readable in {path}; looked for {looked}")
