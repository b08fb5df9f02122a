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
from typing import IO, Any

from bench.errors import BenchError
from bench.files import FULL, sync_folder

VERSION = 1
LOCK_TRIES, LOCK_WAIT_SEC = 4, 0.05
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
            _lock(self._lock, path)
            self.records, self._size = _load(path)
            # unbuffered: what a failed write left behind must not reach the disk later
            self._file = open(path, "ab", buffering=0)  # noqa: SIM115  # open as long as we are
        except BaseException:
            self._lock.close()
            raise
        if path.stat().st_size > self._size:
            self._file.truncate(self._size)
        sync_folder(path.parent)

    def now(self) -> float:
        """The time that a record written now would bear."""
        return self._clock()

    def append(self, kind: str, **body: Any) -> Record:
        """Write one record and wait for the disk; the record as it was written."""
        record: Record = {"kind": kind, "n": len(self.records), "t": self._clock(), **body}
        if not self.records or kind == "session":  # a newer one may go on with an older one's
            record["version"] = VERSION
        text = json.dumps(record, separators=(",", ":"), allow_nan=True).encode()
        line = _line(text)
        try:
            _write(self._file.fileno(), line)
            os.fsync(self._file.fileno())
        except OSError as error:
            self._undo()
            what = "the disk is full" if error.errno in FULL else error.strerror
            raise BenchError(
                f"cannot write the journal {self.path}: {what}; free space, then bench resume "
                f"{self.path.parent.name}"
            ) from error
        # what memory holds is what a reader of the file would see: lists, not tuples
        self._size += len(line)
        self.records.append(json.loads(text))
        return self.records[-1]

    def _undo(self) -> None:
        """Take a half-written record back, as far as the disk lets us."""
        with contextlib.suppress(OSError):  # the torn line is cut off at the next opening
            os.ftruncate(self._file.fileno(), self._size)

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


def begun_at(path: Path) -> float | None:
    """When the first record was written; None if the driver was lost before that."""
    with open(path, "rb") as file:
        first = file.readline()
    crc, _, text = first.rstrip(b"\n").partition(b" ")
    whole = first.endswith(b"\n") and crc == b"%08x" % zlib.crc32(text)
    return float(json.loads(text)["t"]) if whole else None


def is_empty(path: Path) -> bool:
    """Whether nothing is in it but, at most, a first record that was torn."""
    with open(path, "rb") as file:
        first, more = file.readline(), file.read(1)
    crc, _, text = first.rstrip(b"\n").partition(b" ")
    return not more and not (first.endswith(b"\n") and crc == b"%08x" % zlib.crc32(text))


def is_held(path: Path) -> bool:
    """Whether a driver is running this sweep now."""
    lock = path.with_suffix(".lock")
    if not lock.exists():
        return False
    with open(lock, "rb") as file:  # who may only read may ask, too
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def _lock(file: IO[str], path: Path) -> None:
    """Take the writer's lock; asks again for a moment, since `is_held` tries it in passing."""
    for left in reversed(range(LOCK_TRIES)):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise BenchError(
                    f"cannot lock {path}: {error.strerror}; put --home on a disk that knows locks"
                ) from error
            if not left:
                raise BenchError(
                    f"sweep {path.parent.name!r} is being run by another process; "
                    "wait for it or stop it first"
                ) from error
            time.sleep(LOCK_WAIT_SEC)


def _write(handle: int, data: bytes) -> None:
    """All of it: one call may write less than it was given."""
    while data:
        data = data[os.write(handle, data) :]


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
    newest = max((r.get("version", 0) for r in records), default=0)
    if newest > VERSION:
        raise BenchError(
            f"journal {path} was written by a newer bench (format {newest}, this one reads up to "
            f"{VERSION}); upgrade bench"
        )
    return records, whole
