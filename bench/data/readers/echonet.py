"""EchoNet-Dynamic's official layout (Ouyang et al. 2020), as downloaded.

    FileList.csv        FileName,EF,ESV,EDV,FrameHeight,FrameWidth,FPS,NumberOfFrames,Split
    VolumeTracings.csv  FileName,X1,Y1,X2,Y2,Frame   (not needed to read images)
    Videos/*.avi        112x112, MJPEG, grey content in a colour container

Splits TRAIN, VAL, TEST are the parts train, select, report. Every video is another patient; its
ejection fraction (EF, per cent) is its vector. FileName comes with or without ".avi". Videos that
are not listed are left out, and said.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from pathlib import Path

from bench.data.folder_scan import DataFolder, Note, scan
from bench.data.readers import video_file, videos
from bench.data.readers.reader import Listing, Part, Pixels, Source
from bench.errors import BenchError

SUFFIXES: frozenset[str] = frozenset()  # known by its FileList.csv
LOOKS_FOR = "EchoNet-Dynamic (FileList.csv beside Videos/)"
SPLITS: dict[str, Part] = {"TRAIN": "train", "VAL": "select", "TEST": "report"}
COLUMNS = (
    *("FileName", "EF", "ESV", "EDV"),
    *("FrameHeight", "FrameWidth", "FPS", "NumberOfFrames", "Split"),
)
VALUE = "EF"


def _root(path: Path) -> Path | None:
    """The folder with FileList.csv and Videos: `path`, or the one folder in it (as unzipped)."""
    if not path.is_dir():
        return None
    children = [child for child in sorted(path.iterdir()) if child.is_dir()]
    for folder in [path, *children] if len(children) == 1 else [path]:
        if (folder / "FileList.csv").is_file() and (folder / "Videos").is_dir():
            return folder
    return None


def matches(folder: DataFolder) -> bool:
    return _root(folder.root) is not None


def list_sources(folder: DataFolder) -> Listing:
    root = _root(folder.root)
    assert root is not None, "list_sources is for a folder that matches"
    sources, skipped, listed = [], [], set()
    videos_folder = root / "Videos"
    there = {k: path for k, path in scan(videos_folder).files if folder.wants(f"Videos/{k}")}
    rows, unreadable_values = _rows(root / "FileList.csv"), 0
    has_fraction = bool(rows) and VALUE in rows[0]
    for row in rows:
        name = Path(row["FileName"].replace("\0", "")).name
        name = name if Path(name).suffix else f"{name}.avi"
        key, part = f"Videos/{name}", SPLITS.get(row["Split"].strip().upper())
        if not folder.wants(key):
            listed.add(name)
            continue
        if name in listed:
            skipped.append((key, "listed twice, read once"))
        elif part is None:
            skipped.append((key, f"split {row['Split']!r} is not one of {', '.join(SPLITS)}"))
        elif name not in there:
            skipped.append((key, "listed but missing"))
        else:
            value = _number(row[VALUE]) if has_fraction else math.nan
            unreadable_values += has_fraction and math.isnan(value)
            sources.append(
                Source(
                    key=key,
                    path=there[name],
                    part=part,
                    subject=Path(name).stem,
                    vector=(value,) if has_fraction else None,
                )
            )
        listed.add(name)
    extra = [k for k in there if k not in listed and k.lower().endswith(tuple(videos.SUFFIXES))]
    notes = []
    if videos_folder.is_symlink():
        notes.append(Note(text="Videos is a link to a folder: it is read all the same"))
    if extra:
        text = f"{len(extra)} videos not in FileList.csv were left out"
        notes.append(Note(text=text, files=tuple(extra)))
    if unreadable_values:
        notes.append(Note(text=f"{unreadable_values} videos have no {VALUE} that is a number"))
    return Listing(
        sources=tuple(sorted(sources, key=lambda source: source.key)),
        listing_files=(root / "FileList.csv",),
        skipped=tuple(skipped),
        notes=tuple(notes),
        vector_names=(VALUE,) if has_fraction else (),
    )


def _number(text: str) -> float:
    """The finite number in a cell; NaN where there is none."""
    try:
        value = float(text)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream, restval="")
            missing = {"FileName", "Split"} - set(reader.fieldnames or ())
            if missing:
                raise BenchError(
                    f"{path} lacks the column{'s' * (len(missing) > 1)} "
                    f"{', '.join(sorted(missing))}; EchoNet-Dynamic has {','.join(COLUMNS)}"
                )
            return [row for row in reader if row["FileName"].strip()]
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        raise BenchError(f"{path} cannot be read as CSV: {error}") from error


frames = videos.frames


def write_example(root: Path, clips: Mapping[str, Pixels]) -> None:
    (root / "Videos").mkdir(parents=True)
    rows: list[list[object]] = []
    for index, (name, pixels) in enumerate(clips.items()):
        video_file.encode(root / "Videos" / f"{name}.avi", pixels, fps=50)
        split = tuple(SPLITS)[index % 3]
        rows.append([name, 60.0, 40.0, 100.0, *pixels.shape[1:], 50, len(pixels), split])
    write_file_list(root, rows)


def write_file_list(root: Path, rows: list[list[object]]) -> None:
    """Writes FileList.csv; a row has one value for each of COLUMNS."""
    with (root / "FileList.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream, lineterminator="\n").writerows([list(COLUMNS), *rows])
