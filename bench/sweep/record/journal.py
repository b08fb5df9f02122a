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
from bench.sweep.record.plan import VERSION
from bench.sweep.record.records import version_text

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
        lock = path.with_suffix(".lock")
        if lock.exists() and not lock.is_file():
            raise BenchError(f"{lock} is no file, so it is no lock; move it away")
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
        BenchError: there is no journal, it is damaged, or another version wrote it.
    """
    if not path.exists():
        raise BenchError(f"no journal at {path}")
    return _load(path)[0]


def begun_at(path: Path) -> float | None:
    """When the first record was written, or the file itself where that cannot be read; None if
    the driver was lost before it."""
    if not path.is_file():
        return path.stat().st_mtime
    first, _ = _first_line(path)
    text = _content(first)
    if text is None:
        return None if is_empty(path) else path.stat().st_mtime
    try:
        return float(json.loads(text)["t"])
    except (ValueError, TypeError, KeyError):
        return path.stat().st_mtime


def is_empty(path: Path) -> bool:
    """Whether nothing is in it but, at most, a first record that was torn."""
    if not path.is_file():
        return False
    first, more = _first_line(path)
    return not more and _content(first) is None


def _first_line(path: Path) -> tuple[bytes, bool]:
    """The first line, and whether there is anything behind it."""
    with open(path, "rb") as file:
        return file.readline(), bool(file.read(1))


def _content(line: bytes) -> bytes | None:
    """The JSON of a whole line; None for one that was torn or changed."""
    crc, _, text = line.rstrip(b"\n").partition(b" ")
    return text if line.endswith(b"\n") and crc == b"%08x" % zlib.crc32(text) else None


def is_held(path: Path) -> bool:
    """Whether a driver is running this sweep now."""
    lock = path.with_suffix(".lock")
    if not lock.is_file():
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
    if not path.is_file():
        raise BenchError(f"{path} is no file, so it is no journal; move it away")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BenchError(f"cannot read the journal {path}: {error.strerror}") from error
    records: list[Record] = []
    whole = 0
    for end, line, complete in _lines(data):
        text = _content(line + b"\n") if complete else None
        if text is None:
            if end < len(data):
                raise _damaged(path, len(records), "its checksum is wrong")
            break
        records.append(_record(path, len(records), text))
        whole = end
    return records, whole


def _record(path: Path, place: int, text: bytes) -> Record:
    """The record at a place of a journal.

    Raises:
        BenchError: it is no record, not the one of that place, or of another version.
    """
    try:
        record = json.loads(text)
    except ValueError as error:
        raise _damaged(path, place, "it is not JSON") from error
    if not isinstance(record, dict) or not isinstance(record.get("kind"), str):
        raise _damaged(path, place, "it is no record")
    if "version" in record and record["version"] != VERSION:
        raise BenchError(f"journal {path} was {version_text(record['version'])}")
    if record.get("n") != place or not isinstance(record.get("t"), int | float):
        raise _damaged(path, place, "records before it are missing, or out of order")
    return record


def _damaged(path: Path, place: int, why: str) -> BenchError:
    return BenchError(f"journal {path} is damaged at record {place}: {why}; restore it from a copy")
