"""Folders that could be the classes of their files, for data whose layout states no class."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import PurePosixPath

from bench.data.folder_scan import Note
from bench.data.readers.reader import Source

MOST_CLASSES = 20  # folders of one depth; more are rather subjects
SPECIAL = re.compile(r"([][\\.^$*+?{}()|])")  # in a regular expression
PARTS_OF_DATA = frozenset({"test", "testing", "train", "training", "val", "valid", "validation"})


def class_folder_notes(sources: Sequence[Source], subjects: Sequence[str | None]) -> list[Note]:
    """What to give --label-by, where no class is stated and folders could be classes.

    subjects: one a source.
    """
    if any(source.label is not None or source.frame_labels is not None for source in sources):
        return []
    keys = [source.file_key for source in sources]
    depth = class_depth(keys, subjects)
    if depth is None:
        return []
    text = f"{len(set(folders_at(keys, depth)))} folders could be classes"
    option = f"give --label-by {shlex.quote(pattern_of(keys, depth))}"
    return [Note(text=text, files=(option,), private=True)]


def class_depth(keys: Sequence[str], subjects: Sequence[str | None]) -> int | None:
    """The first depth at which the files lie in 2 to MOST_CLASSES folders, each of several subjects
    and not all of them a data set's parts; None: there is no such depth."""
    for depth in range(min((len(PurePosixPath(key).parent.parts) for key in keys), default=0)):
        members: dict[str, set[str | None]] = {}
        for folder, subject in zip(folders_at(keys, depth), subjects, strict=True):
            members.setdefault(folder, set()).add(subject)
        are_parts = all(name.lower() in PARTS_OF_DATA for name in members)
        of_several = all(len(who) > 1 for who in members.values())
        if 2 <= len(members) <= MOST_CLASSES and of_several and not are_parts:
            return depth
    return None


def folders_at(keys: Sequence[str], depth: int) -> list[str]:
    """The name of each file's folder at a depth below the data folder."""
    return [PurePosixPath(key).parts[depth] for key in keys]


def pattern_of(keys: Sequence[str], depth: int) -> str:
    """The regular expression that finds these folders: 'A|B', or by depth where that would find
    another part of a path."""
    folders = folders_at(keys, depth)
    names = sorted(set(folders), key=lambda name: (-len(name), name))
    literal = "|".join(SPECIAL.sub(r"\\\1", name) for name in names)
    found = [re.search(literal, key) for key in keys]
    is_right = all(f and f[0] == folder for f, folder in zip(found, folders, strict=True))
    return literal if is_right else f"^{'[^/]+/' * depth}([^/]+)/"
