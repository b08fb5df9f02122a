"""Files written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from bench.errors import BenchError

PART = "part-"


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """The name to write `path` under: a file beside it, fsynced and renamed when all went well.

    Raises:
        BenchError: the disk is full or the folder cannot be written; nothing is left of it.
    """
    part = path.with_name(f"{PART}{os.getpid()}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        with open(part, "rb") as file:
            os.fsync(file.fileno())
        os.replace(part, path)
        sync_folder(path.parent)  # a file that counts is there after a loss of power, too
    except (OSError, SafetensorError) as error:  # safetensors wraps what the system said
        reason = error.strerror if isinstance(error, OSError) else None
        raise BenchError(f"cannot write {path.name}: {reason or error}") from error
    finally:
        part.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
