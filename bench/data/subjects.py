"""Who is in which file: subjects from the layout, from --group-by, or guessed from file names.

Errors go towards joining: two patients taken for one cost a little variety, one patient taken for
two puts the same anatomy into train and report (contract 8). The one limit: a counter behind a stem
that most files share ("IMG_0001", "benign (12)") is what tells the files apart, so there each file
stays its own subject. Near copies are joined later, by their pixels (`bench.data.near_copies`).
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from bench.data.path_patterns import match_paths
from bench.data.readers.reader import Source
from bench.errors import BenchError

# "pat12", "patient_12", "subject-3", "sub-01" in a folder or file name; not "spat12".
_PERSON = re.compile(
    r"(?<![a-z])(?:patients?|pat|subjects?|subj|sub|person|participant|case|pid)[-_ ]?0*(\d+)",
    re.IGNORECASE,
)
# NIH ChestX-ray and kin: a number for the patient, a short counter for the visit.
_VISIT = re.compile(r"(\d{5,})_\d{1,3}")
# A time or place within one recording or one patient: "-day6", "_slice12", "-frame0007".
_MOMENT = re.compile(
    r"[-_ ]*(?<![a-z])(?:day|frame|month|part|run|seq|slice|t|take|time|timepoint|tp|visit|week|z)"
    r"[-_ ]?\d+$",
    re.IGNORECASE,
)
# One of several recordings, of one subject or of as many: "_v1", "_file2", "clip_3".
_RECORDING = re.compile(
    r"[-_ ]*(?<![a-z])(?:clip|file|mov|movie|v|vid|video|view)[-_ ]?\d+$", re.IGNORECASE
)
# One of several pictures. A name that is nothing but this is a camera's: it names nobody.
_PICTURE = re.compile(
    r"(?<=[a-z\d)])[-_ ]+(?:im|image|img|photo|pic|picture|scan)[-_ ]?\d+$", re.IGNORECASE
)
# A bare counter behind a stem that holds a digit itself: "TCGA_CS_4941_19960909_10". Without that
# digit the stem is a kind ("raccoon-7"); with five digits or more it is a number in a large set.
_NUMBER = re.compile(r"(?<=[a-z\d)])(?:[-_ ]+\d{1,4}| *\(\d{1,4}\))$", re.IGNORECASE)

COMMON_SHARE = 0.2  # a stem of more than this share of the files is a common one,
COMMON_FILES = 10  # if it is that of more files than this
EXAMPLES = 3  # guesses shown in the notes
_NAMED = 2  # files named in each


@dataclass(frozen=True, kw_only=True)
class Grouping:
    """One subject name a source (None: the source has its own list of frame subjects).

    notes: without file names, for records too. examples: with file names, for local eyes only.
    """

    subjects: tuple[str | None, ...]
    notes: tuple[str, ...]
    examples: tuple[str, ...]
    stated: bool  # by the layout or the user, not guessed


def guess(key: str) -> str:
    """The subject that a path below the data folder seems to belong to.

    A person token anywhere in the path (the deepest one) decides; else a patient-and-visit number;
    else the path without its extension and the counters at its end; a file name that is nothing but
    a moment or recording (frame_0001.png) stands for its folder.
    """
    return _read_name(key)[0]


def guess_all(keys: Sequence[str]) -> tuple[list[str], int]:
    """`guess` for every path of a data set, and for how many of them a common stem was set aside.

    A stem is common when all files share it, or more than COMMON_FILES and COMMON_SHARE of them:
    if nothing but a recording's, a picture's or a bare counter follows, each file is its own.
    """
    names = [_read_name(key) for key in keys]
    files = Counter(name for name, _ in names)
    most = max(COMMON_FILES, COMMON_SHARE * len(keys))
    common = {name for name, n in files.items() if n > 1 and (n > most or n == len(keys))}
    alone = [by_counter and name in common for name, by_counter in names]
    subjects = [
        PurePosixPath(key.removesuffix(".gz")).with_suffix("").as_posix() if is_alone else name
        for key, (name, _), is_alone in zip(keys, names, alone, strict=True)
    ]
    return subjects, sum(alone)


def _read_name(key: str) -> tuple[str, bool]:
    """The guessed subject, and whether it rests on taking away a counter that names no moment."""
    path = PurePosixPath(key.removesuffix(".gz"))
    for part in (path.stem, *reversed(path.parent.parts)):
        if person := _PERSON.search(part):
            return f"person {person.group(1)}", False
    if visit := _VISIT.fullmatch(path.stem):
        return f"number {visit.group(1)}", False
    stem, by_counter = _without_counters(path.stem)
    return (path.parent / stem if stem else path.parent).as_posix(), by_counter


def _without_counters(stem: str) -> tuple[str, bool]:
    by_counter = False
    if not any(word.search(stem) for word in (_MOMENT, _RECORDING, _PICTURE)):
        shorter = _NUMBER.sub("", stem)
        if shorter != stem and re.search(r"\d", shorter):
            stem, by_counter = shorter, True
    while True:
        for word in (_MOMENT, _RECORDING, _PICTURE):
            shorter = word.sub("", stem)
            if shorter != stem:
                stem, by_counter = shorter, by_counter or word is not _MOMENT
                break
        else:
            return stem, by_counter


def hash_order(subject: str, purpose: str = "") -> bytes:
    """The hash that orders subjects where any order will do: the same on every machine.

    Orders of different purposes have nothing to do with each other.
    """
    name = subject.encode(errors="surrogatepass")  # file names need not be UTF-8
    return hashlib.blake2b(name, digest_size=8, key=purpose.encode()).digest()


def group(sources: Sequence[Source], group_by: str | None) -> Grouping:
    """A subject for every source.

    Raises BenchError for a --group-by that is no regular expression, takes for ever, or matches
    nothing.
    """
    if group_by is not None:
        return _by_pattern(sources, group_by)
    if all(source.subject is not None or source.frame_subjects for source in sources):
        stated = tuple(source.subject for source in sources)
        return Grouping(subjects=stated, notes=(), examples=(), stated=True)
    unnamed = list(
        dict.fromkeys(s.file_key for s in sources if not s.frame_subjects and s.subject is None)
    )
    guessed, alone = guess_all(unnamed)
    by_key = dict(zip(unnamed, guessed, strict=True))
    names = [by_key.get(source.file_key, source.subject) for source in sources]
    files = Counter(guessed)
    joined = sum(n for n in files.values() if n > 1)
    notes = [
        f"subjects were guessed from file names: {len(files)} for {len(unnamed)} files, {joined} "
        "of which share theirs with another file; state them with --group-by REGEX (group 1, or "
        "the whole match, of the path)"
    ]
    if alone:
        notes.append(
            f"{alone} files have names that differ in a counter only, behind a stem common to "
            "them: each counts as its own subject; if they are of one, say so with --group-by"
        )
    return Grouping(
        subjects=tuple(names), notes=tuple(notes), examples=_examples(by_key), stated=False
    )


def _examples(by_key: dict[str, str]) -> tuple[str, ...]:
    """'guessed: a_day1.png, a_day2.png -> a', of the first guesses that join files."""
    keys: dict[str, list[str]] = {}
    for key, name in by_key.items():
        keys.setdefault(name, []).append(key)
    shown: list[str] = []
    for name, members in keys.items():
        if len(members) > 1 and len(shown) < EXAMPLES:
            more = f" and {len(members) - _NAMED} more" if len(members) > _NAMED else ""
            shown.append(f"{', '.join(members[:_NAMED])}{more} -> {name}")
    return (f"guessed: {'; '.join(shown)}",) if shown else ()


def _by_pattern(sources: Sequence[Source], group_by: str) -> Grouping:
    arrays = sum(source.frame_subjects is not None for source in sources)
    if arrays:
        raise BenchError(
            f"--group-by names subjects by file, but {arrays} arrays hold many images each; "
            "put a 'subjects' array beside 'images' in the .npz"
        )
    matches = match_paths([source.file_key for source in sources], group_by)
    names = [
        f"file {source.file_key}" if match is None else f"group {match}"
        for source, match in zip(sources, matches, strict=True)
    ]
    alone = matches.count(None)
    notes = (
        f"--group-by matched no subject in {alone} of {len(sources)} files: "
        "each of them counts as its own",
    )
    return Grouping(subjects=tuple(names), notes=notes if alone else (), examples=(), stated=True)
