"""The journal: every fact of a sweep, appended and fsynced before anything else sees it.

One line a record: `crc32 json`. One writer, held by a lock on the file beside it; any number of
readers. A torn last line (power loss in the middle of a write) is cut off when the journal is next
opened for writing and passed over by readers; damage anywhere else is an error.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from bench.errors import BenchError

VERSION = 1
Record = dict[str, Any]


class Journal:
    """The single writer of one sweep. Numbers and stamps records; every append is on disk when it
    returns.

    Raises:
        BenchError: another driver holds the sweep, the disk is full, or the file is damaged.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self.path, self._clock = path, clock
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = open(path.with_suffix(".lock"), "a+")  # noqa: SIM115  # held while we write
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.close()
            raise BenchError(
                f"sweep {path.parent.name!r} is being run by another process; "
                "wait for it or stop it first"
            ) from error
        self.records, whole = _load(path)
        self._file = open(path, "ab")  # noqa: SIM115  # open as long as the journal
        if path.stat().st_size > whole:
            self._file.truncate(whole)
        _sync_folder(path.parent)

    def append(self, kind: str, **body: Any) -> Record:
        """Write one record and wait for the disk; the record as it was written."""
        record: Record = {"kind": kind, "n": len(self.records), "t": self._clock(), **body}
        if not self.records:
            record["version"] = VERSION
        text = json.dumps(record, separators=(",", ":"), allow_nan=True).encode()
        start = self._file.tell()
        try:
            self._file.write(_line(text))
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            self._undo(start)
            what = "the disk is full" if error.errno == errno.ENOSPC else error.strerror
            raise BenchError(
                f"cannot write the journal {self.path}: {what}; free space, then bench resume "
                f"{self.path.parent.name}"
            ) from error
        # what memory holds is what a reader of the file would see: lists, not tuples
        self.records.append(json.loads(text))
        return self.records[-1]

    def _undo(self, start: int) -> None:
        """Take a half-written record back, as far as the disk lets us."""
        with contextlib.suppress(OSError):  # the torn line is cut off at the next opening
            os.ftruncate(self._file.fileno(), start)

    def close(self) -> None:
        try:
            self._file.close()
        finally:
            self._lock.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def read(path: Path) -> list[Record]:
    """All whole records of a journal, for reading only.

    Raises:
        BenchError: there is no journal, it is damaged, or a newer version wrote it.
    """
    if not path.exists():
        raise BenchError(f"no journal at {path}")
    return _load(path)[0]


def is_held(path: Path) -> bool:
    """Whether a driver is running this sweep now."""
    lock = path.with_suffix(".lock")
    if not lock.exists():
        return False
    with open(lock, "a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def _line(text: bytes) -> bytes:
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _lines(data: bytes) -> Iterator[tuple[int, bytes, bool]]:
    """End offset, content and wholeness of each line."""
    start = 0
    while start < len(data):
        end = data.find(b"\n", start)
        if end < 0:
            yield len(data), data[start:], False
            return
        yield end + 1, data[start:end], True
        start = end + 1


def _load(path: Path) -> tuple[list[Record], int]:
    """The whole records and the length of the file up to the last of them."""
    if not path.exists():
        return [], 0
    data = path.read_bytes()
    records: list[Record] = []
    whole = 0
    for end, line, complete in _lines(data):
        crc, _, text = line.partition(b" ")
        if not complete or crc != b"%08x" % zlib.crc32(text):
            if end < len(data):
                raise BenchError(
                    f"journal {path} is damaged at record {len(records)}, before its end; "
                    "restore it from a copy"
                )
            break
        records.append(json.loads(text))
        whole = end
    if records and records[0].get("version", 0) > VERSION:
        raise BenchError(
            f"journal {path} was written by a newer bench (format {records[0]['version']}, this "
            f"one reads up to {VERSION}); upgrade bench"
        )
    return records, whole


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
