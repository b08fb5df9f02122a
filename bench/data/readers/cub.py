"""CUB-200-2011's official layout (Wah et al. 2011), as downloaded: one bird a photograph.

    images.txt              <id> <class folder>/<file name>
    bounding_boxes.txt      <id> <x> <y> <width> <height>, in pixels of the photograph
    train_test_split.txt    <id> <1 train, 0 test>
    image_class_labels.txt  <id> <class id>
    classes.txt             <class id> <class name>, the name of its folder
    images/                 <class folder>/<file name>

Training images are the part train, of which a share is dealt to select; test images are report.
The class is the label, and every photograph a subject of its own. The five tables are joined by the
id; an image that one of them lacks, or contradicts, is left out by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from PIL import Image

from bench.data.folder_scan import DataFolder, Note, printable, scan
from bench.data.readers import images
from bench.data.readers.reader import Box, Listing, Part, Pixels, Source
from bench.errors import BenchError

SUFFIXES: frozenset[str] = frozenset()  # known by its tables
LOOKS_FOR = "CUB-200-2011 (images.txt and bounding_boxes.txt beside images/)"
IMAGES, BOXES = "images.txt", "bounding_boxes.txt"
SPLIT, LABELS, CLASSES = "train_test_split.txt", "image_class_labels.txt", "classes.txt"
TABLES = {IMAGES: 1, BOXES: 4, SPLIT: 1, LABELS: 1, CLASSES: 1}  # values behind the id
PARTS: dict[str, Part] = {"1": "train", "0": "report"}
_QUALITY = 95  # of the example's JPEG

Row = tuple[str, tuple[float, float, float, float], int]
"""Class folder and file, the box (x, y, width, height), and whether it is for training."""


def _root(path: Path) -> Path | None:
    """The folder with the tables: `path`, or the one folder in it (as unpacked)."""
    if not path.is_dir():
        return None
    children = [child for child in sorted(path.iterdir()) if child.is_dir()]
    for folder in [path, *children] if len(children) == 1 else [path]:
        tables = [name for name in TABLES if (folder / name).is_file()]
        if IMAGES in tables and len(tables) > 1 and (folder / "images").is_dir():
            return folder
    return None


def matches(folder: DataFolder) -> bool:
    return _root(folder.root) is not None


def list_sources(folder: DataFolder) -> Listing:
    root = _root(folder.root)
    assert root is not None, "list_sources is for a folder that matches"
    tables = {name: _table(root / name, values) for name, values in TABLES.items()}
    there = {k: path for k, path in scan(root / "images").files if folder.wants(f"images/{k}")}
    sources: list[Source] = []
    skipped: list[tuple[str, str]] = []
    listed: set[str] = set()
    for number, (name,) in tables[IMAGES].items():
        key = f"images/{printable(name)}"
        if not folder.wants(key):
            listed.add(name)
            continue
        found = _source(number, name, tables, there.get(printable(name)))
        if name in listed:
            skipped.append((key, "listed twice, read once"))
        elif isinstance(found, str):
            skipped.append((key, found))
        else:
            sources.append(found)
        listed.add(name)
    shown = {printable(name) for name in listed}
    extra = [k for k in there if k not in shown and k.lower().endswith(tuple(images.SUFFIXES))]
    notes = [
        Note(text=f"{len(lost)} rows of {name} are about images that {IMAGES} does not list")
        for name in (BOXES, SPLIT, LABELS)
        if (lost := tables[name].keys() - tables[IMAGES].keys())
    ]
    if extra:
        text = f"{len(extra)} images not in {IMAGES} were left out"
        notes.append(Note(text=text, files=tuple(extra)))
    return Listing(
        sources=tuple(sorted(sources, key=lambda source: source.key)),
        listing_files=tuple(root / name for name in TABLES),
        skipped=tuple(skipped),
        notes=tuple(notes),
    )


def _source(
    number: str, name: str, tables: Mapping[str, Mapping[str, list[str]]], path: Path | None
) -> Source | str:
    """The image of that id, or why it cannot be used."""
    place = PurePosixPath(name)
    if place.is_absolute() or ".." in place.parts or "\\" in name:
        return "its path leads out of the folder"
    if path is None:
        return "listed but missing"
    for table in (BOXES, SPLIT, LABELS):
        if number not in tables[table]:
            return f"{table} has no row for it"
    (label,), (split,) = tables[LABELS][number], tables[SPLIT][number]
    if label not in tables[CLASSES]:
        return f"its class {label} is not in {CLASSES}"
    (class_name,) = tables[CLASSES][label]
    if place.parent.as_posix() != class_name:
        return f"{LABELS} says {class_name}, its folder is {place.parent}"
    if split not in PARTS:
        return f"{SPLIT} says {split!r}, not 0 or 1"
    try:
        x, y, width, height = (float(value) for value in tables[BOXES][number])
    except ValueError:
        return f"its row in {BOXES} is not four numbers"
    return Source(
        key=f"images/{printable(name)}",
        path=path,
        part=PARTS[split],
        subject=printable(name),
        label=class_name,
        box=Box(x=x, y=y, width=width, height=height),
    )


def _table(path: Path, values: int) -> dict[str, list[str]]:
    """The values behind each id. The last one may hold blanks where there is one."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError as error:
        raise BenchError(
            f"{path.parent} lacks {path.name}; CUB-200-2011 has {', '.join(TABLES)}"
        ) from error
    except (UnicodeDecodeError, OSError) as error:
        raise BenchError(f"{path} cannot be read as text: {error}") from error
    rows: dict[str, list[str]] = {}
    for place, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        number, *rest = line.split(maxsplit=1) if values == 1 else line.split()
        if len(rest) != values:
            wanted = f"an id and {values} value{'s' * (values > 1)}"
            raise BenchError(f"{path}, line {place}: {line[:60]!r} is not {wanted}")
        if number in rows:
            raise BenchError(f"{path}, line {place}: the id {number[:20]} stands there twice")
        rows[number] = [value.strip() for value in rest]
    return rows


frames = images.frames


def write_example(root: Path, clips: Mapping[str, Pixels]) -> None:
    rows: list[Row] = []
    for index, (name, pixels) in enumerate(clips.items()):
        label = f"{index + 1:03d}.{name}"
        (root / "images" / label).mkdir(parents=True)
        for place, image in enumerate(pixels):
            file = f"{label}/{name}_{place:04d}.jpg"
            Image.fromarray(image).save(root / "images" / file, quality=_QUALITY)
            height, width = image.shape[:2]
            rows.append((file, (8, 4, width - 16, height - 8), int(place % 3 != 0)))
    write_tables(root, rows)


def write_tables(root: Path, rows: Sequence[Row]) -> None:
    """Writes the five tables."""
    classes = sorted({file.partition("/")[0] for file, _, _ in rows})
    number = {name: place for place, name in enumerate(classes, start=1)}
    bodies: dict[str, list[str]] = {name: [] for name in TABLES}
    bodies[CLASSES] = [f"{place} {name}" for name, place in number.items()]
    for index, (file, box, is_train) in enumerate(rows, start=1):
        bodies[IMAGES].append(f"{index} {file}")
        bodies[BOXES].append(f"{index} " + " ".join(f"{float(value):.1f}" for value in box))
        bodies[SPLIT].append(f"{index} {is_train}")
        bodies[LABELS].append(f"{index} {number[file.partition('/')[0]]}")
    for name, lines in bodies.items():
        (root / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
