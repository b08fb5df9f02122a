"""What is in a data folder: its regular files, and what is there but not read.

Pipes, sockets and devices would block or never end, links to folders may lead in circles, some
folders cannot be opened: none of these is read, all are counted. Hidden files (".name",
"__MACOSX") are no data and are passed over.
"""

from __future__ import annotations

import fnmatch
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.errors import BenchError

NAMED = 5  # files named in one note; the rest is counted


@dataclass(frozen=True, kw_only=True)
class Note:
    """Something to say of the data. `files` name what it is about: for local eyes only; so is the
    whole note if it is `private`: without them it says nothing."""

    text: str  # no file names: it goes into records
    files: tuple[str, ...] = ()
    private: bool = False

    @property
    def local(self) -> str:
        """'2 files skipped: a.avi (listed but missing), b.avi (no frame)'."""
        if not self.files:
            return self.text
        more = f" and {len(self.files) - NAMED} more" if len(self.files) > NAMED else ""
        return f"{self.text}: {', '.join(self.files[:NAMED])}{more}"


@dataclass(frozen=True, kw_only=True)
class DataFolder:
    """A data folder, or one data file, as scanned: nothing in it has been opened yet.

    files: (key, path) of the regular files that --include and --exclude leave, sorted by key. A
    key is the path below `root`, "/" between folders, printable whatever bytes the name has.
    """

    root: Path
    files: tuple[tuple[str, Path], ...]
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    notes: tuple[Note, ...]

    def wants(self, key: str) -> bool:
        """Whether --include and --exclude leave the file of that key to be read."""
        return _is_chosen(key, self.include, self.exclude)

    def ending_in(self, suffixes: frozenset[str]) -> list[tuple[str, Path]]:
        """The files with one of these endings (lower case, with the dot)."""
        return [(k, path) for k, path in self.files if k.lower().endswith(tuple(suffixes))]


def scan(root: Path, include: Sequence[str] = (), exclude: Sequence[str] = ()) -> DataFolder:
    """Lists `root`, a folder or one regular file. Raises BenchError where that cannot be done."""
    try:
        mode = root.stat().st_mode
    except (OSError, ValueError) as error:
        reason = "" if isinstance(error, FileNotFoundError) else f" ({error})"
        raise BenchError(f"no such data folder or file: {root}{reason}") from error
    aside: dict[str, list[str]] = {}
    if stat.S_ISREG(mode):
        everything = [(printable(root.name), root)]
    elif stat.S_ISDIR(mode):
        everything = _walk(root, aside)
    else:
        raise BenchError(f"{root} is a pipe, socket or device; give a folder or a file of data")
    files = [(key, path) for key, path in everything if _is_chosen(key, include, exclude)]
    if everything and not files:
        raise BenchError(
            f"--include and --exclude leave none of the {len(everything)} files in {root} "
            f"(the first is {everything[0][0]!r})"
        )
    notes = [Note(text=f"{len(keys)} {what}", files=tuple(keys)) for what, keys in aside.items()]
    if len(files) < len(everything):
        count = len(everything) - len(files)
        notes.append(Note(text=f"{count} files left out by --include and --exclude"))
    return DataFolder(
        root=root,
        files=tuple(files),
        include=tuple(include),
        exclude=tuple(exclude),
        notes=tuple(notes),
    )


def _walk(root: Path, aside: dict[str, list[str]]) -> list[tuple[str, Path]]:
    def key_of(path: Path) -> str:
        return printable(path.relative_to(root).as_posix())

    def unreadable(error: OSError) -> None:
        if error.filename == os.fspath(root):
            raise BenchError(f"{root} cannot be listed: {error.strerror}") from error
        aside.setdefault("folders that cannot be listed", []).append(key_of(Path(error.filename)))

    files = []
    for place, folders, names in os.walk(root, onerror=unreadable):
        folders[:] = sorted(name for name in folders if not _is_hidden(name))
        for name in folders:
            path = Path(place, name)
            if path.is_symlink():
                aside.setdefault("links to folders were not followed", []).append(key_of(path))
        for name in sorted(names):
            path = Path(place, name)
            if _is_hidden(name):
                continue
            try:
                mode = path.stat().st_mode
            except OSError:
                aside.setdefault("files that cannot be reached", []).append(key_of(path))
                continue
            if stat.S_ISREG(mode):
                files.append((key_of(path), path))
            else:
                what = "pipes, sockets or devices were not read"
                aside.setdefault(what, []).append(key_of(path))
    return sorted(files)


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "__MACOSX"))


def _is_chosen(key: str, include: Sequence[str], exclude: Sequence[str]) -> bool:
    if include and not any(_fits(key, pattern) for pattern in include):
        return False
    return not any(_fits(key, pattern) for pattern in exclude)


def _fits(key: str, pattern: str) -> bool:
    name = key.rsplit("/", 1)[-1]
    return fnmatch.fnmatchcase(key, pattern) or fnmatch.fnmatchcase(name, pattern)


def printable(name: str) -> str:
    """A file name that can be printed, hashed and stored: bytes that are not UTF-8, line ends and
    other control characters are written as escapes ("caf\\udce9.png")."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in name
    )
