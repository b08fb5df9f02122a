"""CheXpert's official layout (Irvin et al. 2019), v1.0 and v1.0-small, as downloaded.

    train.csv, valid.csv   Path,Sex,Age,Frontal/Lateral,AP/PA and the 14 observations
    test_labels.csv        Path and the 14 observations (test.csv too; where it was added)
    train/patient00001/study1/view1_frontal.jpg ...

An observation is 1, 0, -1 (uncertain) or empty (not mentioned; NaN in the vector). A Path begins
with the name of the data set's folder; here its end, from the patient's folder on, finds the file,
so the folder itself, the one around it and the numbered batches of v1.0 are all read. Where both
the Path and the file name a part's folder (train, valid, test), it is the same.

Parts (contract 8): the patients of valid.csv (200, labelled by radiologists; what papers report on)
are `report`, those of train.csv are `train` but for one in ten, by a keyed hash, who `select`. With
a test listing whose files are there, it is `report`, valid.csv `select`, and train.csv all `train`.
"""

from __future__ import annotations

import csv
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from bench.data.folder_scan import DataFolder, Note, printable, scan
from bench.data.readers import images
from bench.data.readers.chexpert_labels import OBSERVATIONS, classes, value_of
from bench.data.readers.reader import Listing, Part, Pixels, Source
from bench.data.subjects import hash_order
from bench.errors import BenchError

SUFFIXES: frozenset[str] = frozenset()  # known by its listings and its patients' folders
LOOKS_FOR = "CheXpert (train.csv or valid.csv beside folders patientNNNNN/studyN)"
LISTINGS = ("train.csv", "valid.csv", "test.csv", "test_labels.csv")  # of two of test the last
ABOUT = ("Path", "Sex", "Age", "Frontal/Lateral", "AP/PA")
COLUMNS = (*ABOUT, *OBSERVATIONS)
SELECT_ONE_IN = 10  # patients of train.csv
_IMAGE = re.compile(
    r"(?:^|/)(?:(train|valid|test)/)?((patient[^/]+)/study[^/]+/[^/]+\.(?:jpe?g|png))$",
    re.IGNORECASE,
)
_There = Mapping[
    str, list[tuple[str, str, Path]]
]  # by a path's end: part's folder or "", key, path


@dataclass(kw_only=True)
class _Row:
    """One line of a listing whose file is there."""

    key: str
    path: Path
    patient: str
    listing: str  # train, valid or test
    cells: Mapping[str, str]
    is_lateral: bool


@dataclass(kw_only=True)
class _Rows:
    """The lines that are read, and what became of the others."""

    rows: list[_Row] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    listed: set[str] = field(default_factory=set)


def matches(folder: DataFolder) -> bool:
    return bool(_roots(folder)) and any(_IMAGE.search(key) for key, _ in _files(folder))


def _roots(folder: DataFolder) -> list[Path]:
    """The folders with a listing: the given one, else those in it."""
    if not folder.root.is_dir():
        return []

    def has_listing(path: Path) -> bool:
        return any((path / name).is_file() for name in LISTINGS[:2])

    if has_listing(folder.root):
        return [folder.root]
    children = sorted(child for child in folder.root.iterdir() if child.name[:1] != ".")
    return [child for child in children if child.is_dir() and has_listing(child)]


def _files(folder: DataFolder) -> Iterator[tuple[str, Path]]:
    """The scanned files, and those of train, valid and test where these are links to folders."""
    yield from folder.files
    for root in _roots(folder):
        for name in ("train", "valid", "test"):
            if (root / name).is_symlink() and (root / name).is_dir():
                for key, path in scan(root / name).files:
                    if folder.wants(f"{name}/{key}"):
                        yield f"{name}/{key}", path


def list_sources(folder: DataFolder) -> Listing:
    roots = _roots(folder)
    if len(roots) > 1:
        names = ", ".join(printable(root.name) for root in roots)
        raise BenchError(f"several CheXpert sets in {folder.root} ({names}); give one of them")
    (root,) = roots
    there: dict[str, list[tuple[str, str, Path]]] = {}
    for key, path in dict(_files(folder)).items():
        if found := _IMAGE.search(key):
            there.setdefault(found.group(2), []).append((found.group(1) or "", key, path))
    listings = {name.split(".")[0].split("_")[0]: root / name for name in LISTINGS
                if (root / name).is_file()}  # fmt: skip
    read = _Rows()
    for name, listing in listings.items():
        _read_listing(name, listing, there, folder, read)
    notes = _leave_out_lateral(read, by_globs=bool(folder.include))
    parts, part_notes = _parts(read.rows)
    every = (key for files in there.values() for _, key, _ in files)
    extra = tuple(key for key in every if key not in read.listed)
    if extra:
        text = f"{len(extra)} images in none of the listings were left out"
        part_notes.append(Note(text=text, files=extra))
    rows = sorted(read.rows, key=lambda row: row.key)
    columns, label, label_notes = classes([row.cells for row in rows])
    sources = tuple(
        Source(
            key=row.key,
            path=row.path,
            part=parts.get(row.patient),
            subject=row.patient,
            label=name,
            vector=tuple(value_of(row.cells[column]) for column in OBSERVATIONS),
        )
        for row, name in zip(rows, label, strict=True)
    )
    return Listing(
        sources=sources,
        listing_files=tuple(listings.values()),
        skipped=tuple(read.skipped),
        notes=(*notes, *part_notes, *label_notes),
        vector_names=OBSERVATIONS,
        columns=columns,
    )


def _read_listing(name: str, listing: Path, there: _There, folder: DataFolder, read: _Rows) -> None:
    for cells in _lines(listing):
        stated = cells["Path"].replace("\0", "").strip()
        path = stated.replace("\\", "/")
        found = _IMAGE.search(path)
        reason = None
        if path.startswith("/") or path[1:2] == ":":
            reason = "an absolute path, not one below the data set's folder"
        elif ".." in path.split("/"):
            reason = "its path climbs out of the data set's folder"
        elif found is None:
            reason = "its path names no patient, study and .jpg or .png"
        else:
            part_folder, tail, patient = found.groups(default="")
            files = [file for file in there.get(tail, []) if _agree(file[0], part_folder)]
            if len(files) > 1:
                reason = "several files have this path's end: " + ", ".join(f[1] for f in files)
            elif files and files[0][1] in read.listed:
                reason = "listed twice, read once"
            elif files:
                _, key, path_there = files[0]
                read.listed.add(key)
                view = cells.get("Frontal/Lateral", "").strip().lower() or tail.lower()
                row = _Row(
                    key=f"{name}/{tail}",
                    path=path_there,
                    patient=patient,
                    listing=name,
                    cells=cells,
                    is_lateral="lateral" in view,
                )
                read.rows.append(row)
            elif folder.wants(f"{name}/{tail}"):
                reason = "listed but missing"
        if reason is not None:
            read.skipped.append((printable(stated), reason))


def _agree(one: str, other: str) -> bool:
    """Whether two parts' folders may be the same; "" where a path names none."""
    return not (one and other) or one.lower() == other.lower()


def _lines(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream, restval="")
            missing = [c for c in ("Path", *OBSERVATIONS) if c not in (reader.fieldnames or ())]
            if missing:
                raise BenchError(
                    f"{path} lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}; "
                    f"CheXpert has {','.join(COLUMNS)}"
                )
            return [row for row in reader if row["Path"].strip()]
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        raise BenchError(f"{path} cannot be read as CSV: {error}") from error


def _leave_out_lateral(read: _Rows, by_globs: bool) -> list[Note]:
    """Frontal views only, unless --include says what is read."""
    lateral = [row.key for row in read.rows if row.is_lateral]
    if not lateral:
        return []
    if by_globs:
        text = f"{len(lateral)} of {len(read.rows)} images are lateral views, as --include asks"
        return [Note(text=text)]
    read.rows = [row for row in read.rows if not row.is_lateral]
    text = (
        f"{len(lateral)} lateral views were left out (--include '*lateral*' reads those alone, "
        "--include '*' both)"
    )
    return [Note(text=text)]


def _parts(rows: Sequence[_Row]) -> tuple[dict[str, Part], list[Note]]:
    """The part of every patient, and what is said of it."""
    listed: dict[str, list[str]] = {}
    for row in rows:
        names = listed.setdefault(row.patient, [])
        if row.listing not in names:
            names.append(row.listing)
    torn = tuple(patient for patient, names in listed.items() if len(names) > 1)
    first = {patient: names[0] for patient, names in listed.items()}
    notes = []
    if torn:
        text = (
            f"{len(torn)} patients stand in several listings: all their images go to the part of "
            "the first (train before valid before test)"
        )
        notes.append(Note(text=text, files=torn))
    held = Counter(first.values())
    if "test" in held and "valid" in held:
        roles: dict[str, Part] = {"train": "train", "valid": "select", "test": "report"}
    elif "train" in held:
        roles = {"train": "train", "valid": "report", "test": "report"}
    else:
        return {}, [*notes, Note(text="no patient of train.csv: the parts were dealt anew")]
    parts = {patient: roles[name] for patient, name in first.items()}
    said = [f"{name} listing = {roles[name]}" for name in held]
    if "select" not in parts.values():
        dealt = sorted(
            (patient for patient, name in first.items() if name == "train"),
            key=lambda patient: hash_order(patient, "chexpert select"),
        )
        chosen = dealt[: math.ceil(len(dealt) / SELECT_ONE_IN)] if len(dealt) > 1 else []
        parts.update(dict.fromkeys(chosen, "select"))
        said.append(f"{len(chosen)} of {len(dealt)} train patients, by hash, = select")
    return parts, [*notes, Note(text=f"parts by patient: {', '.join(said)}")]


frames = images.frames


def write_example(root: Path, clips: Mapping[str, Pixels]) -> None:
    names = list(clips)
    for listing, patients in (("train", names[:-1]), ("valid", names[-1:])):
        rows: list[list[object]] = []
        for patient in patients:
            number = int(re.sub(r"\D", "", patient) or 0)
            for index, pixels in enumerate(clips[patient]):
                key = f"{listing}/patient{number:05d}/study1/view{index + 1}_frontal.jpg"
                write_image(root / key, pixels)
                observed = [1.0, *[""] * (len(OBSERVATIONS) - 1)]
                rows.append([f"{root.name}/{key}", "Female", 60, "Frontal", "AP", *observed])
        write_listing(root / f"{listing}.csv", rows)


def write_image(path: Path, pixels: Pixels) -> None:
    """Writes uint8 [H, W] as the official small set does: grey JPEG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, quality=95)


def write_listing(path: Path, rows: Sequence[Sequence[object]]) -> None:
    """Writes one of LISTINGS; a row has one value for each of COLUMNS."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream, lineterminator="\n").writerows([list(COLUMNS), *rows])
