"""Files: written whole or not at all; and what one is that a trial leaves."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError

from bench.errors import BenchError

PART = "part-"
FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True, kw_only=True)
class ResultFile:
    """A file that a finished trial leaves in its folder; `real`: it shows what is private."""

    name: str
    content: bytes
    real: bool


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


def disk_full(error: BaseException | None) -> bool:
    """Whether a full disk, or a spent quota, is what this error or one it came from says."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in FULL:
            return True
        from_system = isinstance(
            error, SafetensorError | BenchError
        )  # what the system said, as text
        if from_system and any(os.strerror(code) in str(error) for code in FULL):
            return True
        error = error.__cause__
    return False


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
