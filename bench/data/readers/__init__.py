"""The readers, one module per on-disk layout, and how the one that applies is chosen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bench.data.folder_scan import DataFolder, Note
from bench.data.readers.dicom import is_dicom
from bench.data.readers.reader import Reader
from bench.doors import Family
from bench.errors import BenchError

TABLE: dict[str, str] = {
    "echonet": "bench.data.readers.echonet",
    "chexpert": "bench.data.readers.chexpert_layout",
    "cub": "bench.data.readers.cub",
    "voc": "bench.data.readers.voc",
    "brats": "bench.data.readers.brats_layout",
    "npz": "bench.data.readers.npz",
    "dicom": "bench.data.readers.dicom",
    "nifti": "bench.data.readers.nifti",
    "videos": "bench.data.readers.videos",
    "images": "bench.data.readers.images",
}
READERS = Family(kind="reader", table=TABLE)

# Kinds that are known by their content too: DICOM files are often named by numbers with dots.
_BY_CONTENT: dict[str, Callable[[Path], bool]] = {"dicom": is_dicom}
MOST = 0.9  # of the files: what so many are decides what the folder is


def load(name: str) -> Reader:
    """The reader of that name, imported when asked for; BenchError for an unknown name."""
    reader: Reader = READERS.load(name)
    return reader


def choose(
    folder: DataFolder, prefer: str, asked: str | None = None
) -> tuple[str, Reader, tuple[Note, ...]]:
    """The reader for a folder, and what is said of files of other kinds in it.

    `asked` decides where it is given; else an official layout (`prefer` before others); else what
    most of the files are. Raises BenchError, with the counts, where nothing can be read or where
    several kinds are too many for one to be stray.
    """
    kinds = _kinds(folder)
    if asked is not None:
        chosen = asked
        if not load(chosen).matches(folder):
            raise BenchError(
                f"nothing for the reader {chosen} in {folder.root}; it looks for "
                f"{load(chosen).LOOKS_FOR}{_there_is(kinds)}"
            )
    else:
        chosen = _layout(folder, prefer) or _most(folder, kinds, prefer)
    reader = load(chosen)
    others = tuple(
        Note(text=f"{len(keys)} {kind} files beside them were not read", files=tuple(keys))
        for kind, keys in kinds.items()
        if kind != chosen and reader.SUFFIXES  # a layout says itself what it leaves out
    )
    return chosen, reader, others


def _layout(folder: DataFolder, prefer: str) -> str | None:
    names = [prefer, *(name for name in TABLE if name != prefer)]
    for name in names:
        reader = load(name)
        if not reader.SUFFIXES and reader.matches(folder):
            return name
    return None


def _most(folder: DataFolder, kinds: dict[str, list[str]], prefer: str) -> str:
    total = sum(map(len, kinds.values()))
    if not total:
        names = [prefer, *(name for name in TABLE if name != prefer)]
        looked = "; ".join(f"{name}: {load(name).LOOKS_FOR}" for name in names)
        raise BenchError(f"nothing readable in {folder.root}; looked for {looked}")
    kind = max(kinds, key=lambda name: len(kinds[name]))
    if len(kinds[kind]) >= MOST * total:
        return kind
    raise BenchError(
        f"several kinds of data in {folder.root}{_there_is(kinds)}; choose with "
        f"--reader {' or --reader '.join(kinds)}, or with --include GLOB"
    )


def _there_is(kinds: dict[str, list[str]]) -> str:
    if not kinds:
        return ""
    counts = ", ".join(f"{len(keys)} {kind} (as {keys[0]})" for kind, keys in kinds.items())
    return f"; it holds {counts}"


def _kinds(folder: DataFolder) -> dict[str, list[str]]:
    """The keys of the files of each kind that there is, by the names of its reader."""
    kinds = {
        name: [key for key, _ in folder.ending_in(suffixes)]
        for name in TABLE
        if (suffixes := load(name).SUFFIXES)
    }
    known = {key for keys in kinds.values() for key in keys}
    for kind, is_one in _BY_CONTENT.items():
        kinds.setdefault(kind, []).extend(
            key for key, path in folder.files if key not in known and is_one(path)
        )
    return {name: keys for name, keys in kinds.items() if keys}
