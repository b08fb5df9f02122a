"""Who is in which file: subjects from the layout, from --group-by, or guessed from file names.

Errors go towards joining: two patients taken for one cost a little variety, one patient taken for
two puts the same anatomy into train and report (contract 8). Files of equal content always share
a subject.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from bench.data.readers.reader import Source
from bench.errors import BenchError

# "pat12", "patient_12", "subject-3", "sub-01" in a folder or file name; not "spat12".
_PERSON = re.compile(
    r"(?<![a-z])(?:patients?|pat|subjects?|subj|sub|person|participant|case|pid)[-_ ]?0*(\d+)",
    re.IGNORECASE,
)
# NIH ChestX-ray and kin: a number for the patient, a short counter for the visit.
_VISIT = re.compile(r"(\d{5,})_\d{1,3}")
# A counter at the end that tells recordings of one thing apart: "_v1", "_file2", "-frame0007".
_COUNTER = re.compile(
    r"[-_ ]*(?<![a-z])(?:clip|file|frame|mov|movie|part|run|seq|slice|take|v|vid|video|view)"
    r"[-_ ]?\d+$",
    re.IGNORECASE,
)


@dataclass(frozen=True, kw_only=True)
class Grouping:
    """One subject name a source (None: the source has its own list of frame subjects)."""

    subjects: tuple[str | None, ...]
    notes: tuple[str, ...]
    stated: bool  # by the layout or the user, not guessed


def guess(key: str) -> str:
    """The subject that a path below the data folder seems to belong to.

    A person token anywhere in the path (the deepest one) decides; else a patient-and-visit number;
    else the path without its extension and trailing recording counter; a file name that is
    nothing but such a counter (frame_0001.png) stands for its folder.
    """
    path = PurePosixPath(key)
    for part in (path.stem, *reversed(path.parent.parts)):
        if found := _PERSON.search(part):
            return f"person {found.group(1)}"
    if found := _VISIT.fullmatch(path.stem):
        return f"number {found.group(1)}"
    stem = _COUNTER.sub("", path.stem)
    return (path.parent / stem).as_posix() if stem else path.parent.as_posix()


def hash_order(subject: str) -> bytes:
    """The hash that orders subjects where any order will do: the same on every machine."""
    return hashlib.blake2b(subject.encode(), digest_size=8).digest()


def group(sources: Sequence[Source], group_by: str | None, content: Mapping[str, str]) -> Grouping:
    """A subject for every source; `content` maps a source's key to the hash of its bytes.

    Raises BenchError for a --group-by that is no regular expression or matches nothing.
    """
    notes: list[str] = []
    if group_by is not None:
        names = _by_pattern(sources, group_by, notes)
        stated = True
    elif all(source.subject is not None or source.frame_subjects for source in sources):
        names = [source.subject for source in sources]
        stated = True
    else:
        names = [None if s.frame_subjects else (s.subject or guess(s.key)) for s in sources]
        stated = False
        count = len({name for name in names if name is not None})
        notes.append(
            f"subjects were guessed from file names: {count} for {len(sources)} files; "
            "state them with --group-by REGEX (group 1, or the whole match, of the path)"
        )
    joined, copies = _join_copies(sources, names, content)
    if copies:
        notes.append(f"{copies} files are copies of another one; copies share a subject")
    return Grouping(subjects=tuple(joined), notes=tuple(notes), stated=stated)


def _by_pattern(sources: Sequence[Source], group_by: str, notes: list[str]) -> list[str | None]:
    try:
        pattern = re.compile(group_by)
    except re.error as error:
        raise BenchError(f"--group-by {group_by!r} is no regular expression: {error}") from error
    arrays = sum(source.frame_subjects is not None for source in sources)
    if arrays:
        raise BenchError(
            f"--group-by names subjects by file, but {arrays} arrays hold many images each; "
            "put a 'subjects' array beside 'images' in the .npz"
        )
    names: list[str | None] = []
    alone = 0
    for source in sources:
        found = pattern.search(source.key)
        alone += found is None
        if found is None:
            names.append(f"file {source.key}")
        else:
            first = found.group(1) if pattern.groups else None
            names.append(f"group {found.group(0) if first is None else first}")
    if alone == len(sources):
        raise BenchError(
            f"--group-by {group_by!r} matches none of the {len(sources)} paths "
            f"(the first is {sources[0].key!r})"
        )
    if alone:
        notes.append(f"--group-by matched no subject in {alone} of {len(sources)} files: "
                     "each of them counts as its own")  # fmt: skip
    return names


def _join_copies(
    sources: Sequence[Source], names: Sequence[str | None], content: Mapping[str, str]
) -> tuple[list[str | None], int]:
    """Gives the subjects of files with equal content one name (the first in alphabet)."""
    leader: dict[str, str] = {}

    def find(name: str) -> str:
        while leader.get(name, name) != name:
            name = leader[name]
        return name

    first: dict[str, str] = {}
    copies = 0
    for source, name in zip(sources, names, strict=True):
        if name is None:
            continue
        other = first.setdefault(content[source.key], name)
        if other is not name:
            copies += 1
            low, high = sorted((find(other), find(name)))
            leader[high] = low
    return [None if name is None else find(name) for name in names], copies
