"""A trial's folder mirrored in storage: what is there comes first, then what is new goes there.

A checkpoint counts once it is in storage: `mirrored` hands a report on only after every file
written before it has been uploaded. The folder here is one process's own and goes with it.
"""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import uuid
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TypeVar

from bench.files import PART
from bench.storage.place import Place

CHECKPOINT = "checkpoint-*.safetensors"
T = TypeVar("T")


class Mirror:
    """One folder here and its place in storage. One thread."""

    def __init__(self, folder: Path, place: Place) -> None:
        self.folder, self.place = folder, place
        self._there: dict[str, tuple[int, int]] = {}  # name -> size and mtime when uploaded

    def pull(self) -> None:
        """Bring the checkpoints, all of them: the newest may turn out to be damaged."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for name in [n for n in self.place.sizes() if Path(n).match(CHECKPOINT)]:
            self.place.get(name, self.folder / name)
            self._there[name] = _stamp(self.folder / name)

    def push(self) -> None:
        """Upload what is new, then delete there the checkpoints that retention deleted here.

        Only what went through our hands: should another process be ahead with this trial, its
        newer ones are not ours to delete.
        """
        here = {
            p.name: _stamp(p)
            for p in self.folder.iterdir()
            if p.is_file() and not p.name.startswith((PART, "."))
        }
        # the checkpoint last: what it stands for is there before it counts
        for name in sorted(here, key=lambda n: (Path(n).match(CHECKPOINT), n)):
            if self._there.get(name) != here[name]:
                self.place.put(self.folder / name, name)
                self._there[name] = here[name]
        for name in [n for n in self._there if n not in here and Path(n).match(CHECKPOINT)]:
            self.place.delete(name)
            del self._there[name]


def mirrored(
    items: Callable[[Path], Iterator[T]], scratch: Path, name: str, place: Place
) -> Generator[T, None, None]:
    """Run `items` in a folder of its own in `scratch`, mirrored in storage.

    The folder is deleted at the end; what a killed process left in `scratch` goes first.

    Raises:
        StorageError: the storage keeps failing.
    """
    with own_folder(scratch, name) as folder:
        mirror = Mirror(folder, place)
        mirror.pull()
        made = items(folder)
        try:
            for item in made:
                mirror.push()
                yield item
        finally:
            if isinstance(made, Generator):
                made.close()


@contextlib.contextmanager
def own_folder(scratch: Path, name: str) -> Iterator[Path]:
    """A new folder for this block alone, deleted after it; a lock says that it is in use."""
    scratch.mkdir(parents=True, exist_ok=True)
    for left in scratch.glob("*.lock"):
        with contextlib.suppress(OSError), open(left, "rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # nobody has it: its process is gone
            _remove(left)
    folder = scratch / f"{name}.{uuid.uuid4().hex[:8]}"
    held = folder.with_name(f"{folder.name}.lock")
    with open(held, "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder.mkdir()
        try:
            yield folder
        finally:
            _remove(held)


def _remove(lock: Path) -> None:
    shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
    lock.unlink(missing_ok=True)


def _stamp(path: Path) -> tuple[int, int]:
    seen = path.stat()
    return seen.st_size, seen.st_mtime_ns
