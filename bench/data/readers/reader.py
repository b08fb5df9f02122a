"""What a reader is: a module that lists a layout's sources and streams their frames.

The contract, which the conformance suite checks for every line of the table:
- `matches` looks at names only (no decoding) and never raises for a readable folder.
- `list_sources` opens listings (CSV, array headers), not pixels; its order is deterministic.
- `frames` streams: it holds a few frames at a time, whatever the size of the source. It is the
  only call that decodes. Frames come as uint8 [H, W] in mode "L", [H, W, 3] in mode "RGB".
- Nothing is random, nothing is cached, no thread is started; one reader serves several threads.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Frame = NDArray[np.uint8]
Mode = Literal["L", "RGB"]
Part = Literal["train", "select", "report"]
PARTS: tuple[Part, ...] = ("train", "select", "report")
Warn = Callable[[str], None]


class UnreadableError(Exception):
    """A source gives no (further) frame; the message is the reason, without the file name."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """What is decoded as a unit: one video, one image, one array of images."""

    key: str  # path below the root, "/" between folders; stable between machines
    path: Path
    part: Part | None = None  # where the layout has official parts
    subject: str | None = None  # where the layout states it
    frame_subjects: tuple[str, ...] | None = None  # one a frame, for arrays of many subjects


@dataclass(frozen=True, kw_only=True)
class Listing:
    """What a folder holds: sources to read, those listed but not readable, and what to say."""

    sources: tuple[Source, ...]
    listing_files: tuple[Path, ...] = ()  # files whose content decides parts or subjects
    skipped: tuple[tuple[str, str], ...] = ()  # (key, reason)
    notes: tuple[str, ...] = ()  # no file names in these: they go into records


class Reader(Protocol):
    """The functions and names of a reader module."""

    LOOKS_FOR: str

    def matches(self, path: Path) -> bool:
        """Whether `path` (a folder or a file) is in this layout."""

    def list_sources(self, path: Path) -> Listing:
        """Everything there is to read in `path`; BenchError where the listing itself is wrong."""

    def frames(self, source: Source, *, every: int, mode: Mode, warn: Warn) -> Iterator[Frame]:
        """One frame in `every` of a source's moving images (still images: all of them).

        Raises UnreadableError where decoding ends; frames yielded before that count. `warn` is told
        what was lost in a source that could be read in part.
        """

    def write_example(self, root: Path, clips: Mapping[str, Frame]) -> None:
        """Writes clips (name -> uint8 [T, H, W]) in this layout, for tests and documentation."""


def walk(root: Path, suffixes: frozenset[str]) -> list[tuple[str, Path]]:
    """(key, path) of the files below `root` with one of the suffixes, hidden ones left out, sorted.

    `root` may be such a file itself. Links to folders are not followed.
    """
    if root.is_file():
        return [(root.name, root)] if root.suffix.lower() in suffixes else []
    found = []
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith((".", "__MACOSX"))]
        for name in files:
            if not name.startswith(".") and Path(name).suffix.lower() in suffixes:
                path = Path(folder, name)
                found.append((path.relative_to(root).as_posix(), path))
    return sorted(found)
