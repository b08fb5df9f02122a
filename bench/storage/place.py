"""A folder in shared storage, by path or fsspec URL; its files are written whole or not at all.

Object stores show an object once all of it is there; elsewhere a file is uploaded under a part
name, measured, and moved. What fails for a moment is tried again for about two minutes.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from bench.errors import BenchError
from bench.files import PART, whole

WAITS_SEC = (0.2, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0)  # between tries
WHOLE_PUT = frozenset(("s3", "s3a", "gs", "gcs", "abfs", "az", "adl", "oss", "oci", "tos"))
FINAL = frozenset(  # no second try would end otherwise
    (
        *(errno.ENOENT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT),
        *(errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG),
    )
)

T = TypeVar("T")


class StorageError(BenchError):
    """The storage does not answer, or not as it should; the message says which and why."""


class Place:
    """A folder in storage. Names are relative and may hold slashes. Any thread, one at a time.

    Raises:
        StorageError: from every method, when the storage keeps failing.
    """

    def __init__(self, url: str, waits_sec: tuple[float, ...] = WAITS_SEC) -> None:
        self.url = url.rstrip("/") or "/"
        self._waits = waits_sec
        self._fs: Any = None
        self._root = ""

    def at(self, name: str) -> Place:
        """A folder in this one."""
        return Place(f"{self.url}/{name}", self._waits)

    def put(self, local: Path, name: str) -> None:
        """Upload a file. It stands there whole when this returns."""
        self._retry(f"cannot write {name}", lambda: self._put(local, name))

    def get(self, name: str, local: Path) -> None:
        """Download a file; `local` is whole or untouched."""
        self._retry(f"cannot read {name}", lambda: self._get(name, local))

    def write(self, name: str, data: bytes, scratch: Path) -> None:
        """Put bytes, by way of a file in `scratch`."""
        scratch.mkdir(parents=True, exist_ok=True)
        draft = scratch / f"{PART}{uuid.uuid4().hex[:8]}"
        try:
            draft.write_bytes(data)
            self.put(draft, name)
        finally:
            draft.unlink(missing_ok=True)

    def read(self, name: str) -> bytes | None:
        """The content of a small file; None where there is none."""

        def read() -> bytes | None:
            fs, path = self._open(name)
            fs.invalidate_cache()
            try:
                return bytes(fs.cat_file(path))
            except FileNotFoundError:
                return None
            except OSError:  # ftp and others do not say that a file is not there
                if Path(name).name not in self._sizes(str(Path(name).parent), False):
                    return None
                raise

        return self._retry(f"cannot read {name}", read)

    def sizes(self, folder: str = "", parts: bool = False) -> dict[str, int]:
        """Name and size of each whole file right in a folder; with `parts`, of those begun, too."""
        return self._retry(f"cannot list {folder or 'it'}", lambda: self._sizes(folder, parts))

    def delete(self, name: str) -> None:
        """Delete a file, if it is there."""

        def delete() -> None:
            fs, path = self._open(name)
            with contextlib.suppress(FileNotFoundError):
                fs.rm_file(path)

        self._retry(f"cannot delete {name}", delete)

    def check(self, scratch: Path) -> None:
        """Write, list, read and delete a file, at once and without a second try.

        Raises:
            StorageError: this place cannot be used, and why.
        """
        place, name = self.impatient(), f"check-{uuid.uuid4().hex[:8]}"
        place.write(name, b"bench", scratch)
        if place.sizes().get(name) != 5 or place.read(name) != b"bench":
            raise StorageError(f"storage {self.url}: a file written is not read back as it was")
        place.delete(name)

    def impatient(self, waits_sec: tuple[float, ...] = ()) -> Place:
        """The same place, asked once or with these waits between."""
        return Place(self.url, waits_sec)

    def _put(self, local: Path, name: str) -> None:
        fs, path = self._open(name)
        if _is_local(fs):
            with whole(Path(path)) as draft:
                shutil.copyfile(local, draft)
            return
        if _protocols(fs) & WHOLE_PUT:
            fs.put_file(os.fspath(local), path)
            return
        parent = path.rsplit("/", 1)[0]
        fs.makedirs(parent, exist_ok=True)
        part = f"{parent}/{PART}{uuid.uuid4().hex[:8]}-{path.rsplit('/', 1)[1]}"
        try:
            fs.put_file(os.fspath(local), part)
            fs.invalidate_cache()
            stored, size = fs.info(part)["size"], local.stat().st_size
            if stored != size:
                raise OSError(f"{stored} of {size} bytes arrived")
            fs.mv(part, path)
        except Exception:
            with contextlib.suppress(Exception):  # the storage may be away by now
                fs.rm_file(part)
            raise

    def _get(self, name: str, local: Path) -> None:
        fs, path = self._open(name)
        fs.invalidate_cache()
        size = fs.info(path)["size"]
        with whole(local) as part:
            fs.get_file(path, os.fspath(part))
            if part.stat().st_size != size:
                raise OSError(f"{part.stat().st_size} of {size} bytes arrived")

    def _sizes(self, folder: str, parts: bool) -> dict[str, int]:
        fs, path = self._open(folder)
        fs.invalidate_cache()
        try:
            entries = fs.ls(path, detail=True)
        except FileNotFoundError:
            return {}
        names = {
            f["name"].rstrip("/").rsplit("/", 1)[-1]: f for f in entries if f["type"] == "file"
        }
        return {
            name: f["size"]
            for name, f in names.items()
            if name and (parts or not name.startswith(PART))
        }

    def _open(self, name: str) -> tuple[Any, str]:
        """The filesystem, connected anew after a failure, and a file's path in it."""
        if self._fs is None:
            from fsspec.core import url_to_fs

            try:
                self._fs, self._root = url_to_fs(self.url, skip_instance_cache=True)
            except (ImportError, ValueError) as error:  # no such protocol, or its package
                raise StorageError(f"storage {self.url}: {error}") from error
        return self._fs, f"{self._root.rstrip('/')}/{name}".rstrip("/") if name else self._root

    def _retry(self, what: str, call: Callable[[], T]) -> T:
        for wait in (*self._waits, None):
            try:
                return call()
            except StorageError:
                raise
            except Exception as error:  # every filesystem has errors of its own
                self._fs = None
                cause = error.__cause__ if isinstance(error, BenchError) else error
                if wait is None or getattr(cause, "errno", None) in FINAL:
                    raise StorageError(f"storage {self.url}: {what}: {_text(cause)}") from error
                time.sleep(wait)
        raise AssertionError("the last try returns or raises")


def _text(error: BaseException | None) -> str:
    """What went wrong, in one line."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text.splitlines()[0] if text else type(error).__name__


def _protocols(fs: Any) -> set[str]:
    return {fs.protocol} if isinstance(fs.protocol, str) else set(fs.protocol)


def _is_local(fs: Any) -> bool:
    return "file" in _protocols(fs)
