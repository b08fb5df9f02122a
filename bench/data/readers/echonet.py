"""EchoNet-Dynamic's official layout (Ouyang et al. 2020), as downloaded.

    FileList.csv        FileName,EF,ESV,EDV,FrameHeight,FrameWidth,FPS,NumberOfFrames,Split
    VolumeTracings.csv  FileName,X1,Y1,X2,Y2,Frame   (not needed to read images)
    Videos/*.avi        112x112, MJPEG, grey content in a colour container

Splits TRAIN, VAL, TEST are the parts train, select, report. Every video is another patient.
FileName comes with or without ".avi". Videos that are not listed are left out, and said.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

from bench.data.readers import video_file
from bench.data.readers.reader import Frame, Listing, Mode, Part, Source, Warn
from bench.errors import BenchError

LOOKS_FOR = "EchoNet-Dynamic (FileList.csv beside Videos/)"
SPLITS: dict[str, Part] = {"TRAIN": "train", "VAL": "select", "TEST": "report"}
COLUMNS = (
    *("FileName", "EF", "ESV", "EDV"),
    *("FrameHeight", "FrameWidth", "FPS", "NumberOfFrames", "Split"),
)


def _root(path: Path) -> Path | None:
    """The folder with FileList.csv and Videos: `path`, or the one folder in it (as unzipped)."""
    if not path.is_dir():
        return None
    children = [child for child in sorted(path.iterdir()) if child.is_dir()]
    for folder in [path, *children] if len(children) == 1 else [path]:
        if (folder / "FileList.csv").is_file() and (folder / "Videos").is_dir():
            return folder
    return None


def matches(path: Path) -> bool:
    return _root(path) is not None


def list_sources(path: Path) -> Listing:
    root = _root(path)
    assert root is not None, "list_sources is for a path that matches"
    sources, skipped, listed = [], [], set()
    videos = {file.name: file for file in (root / "Videos").iterdir()}
    for row in _rows(root / "FileList.csv"):
        name = Path(row["FileName"]).name
        name = name if Path(name).suffix else f"{name}.avi"
        key, part = f"Videos/{name}", SPLITS.get(row["Split"].strip().upper())
        if name in listed:
            skipped.append((key, "listed twice, read once"))
        elif part is None:
            skipped.append((key, f"split {row['Split']!r} is not one of {', '.join(SPLITS)}"))
        elif name not in videos:
            skipped.append((key, "listed but missing"))
        else:
            subject = Path(name).stem
            sources.append(Source(key=key, path=videos[name], part=part, subject=subject))
        listed.add(name)
    extra = sum(name not in listed for name in videos if Path(name).suffix in video_file.SUFFIXES)
    notes = (f"{extra} videos not in FileList.csv were left out",) if extra else ()
    return Listing(
        sources=tuple(sorted(sources, key=lambda source: source.key)),
        listing_files=(root / "FileList.csv",),
        skipped=tuple(skipped),
        notes=notes,
    )


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


def frames(source: Source, *, every: int, mode: Mode, warn: Warn) -> Iterator[Frame]:
    return video_file.decode(source.path, every=every, mode=mode, warn=warn)


def write_example(root: Path, clips: Mapping[str, Frame]) -> None:
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
