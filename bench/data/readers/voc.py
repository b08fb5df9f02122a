"""Photographs with Pascal-VOC annotations: an XML file for each picture, of the same name.

    <annotation><filename>a.jpg</filename><size><width>640</width><height>480</height></size>
      <object><name>bird</name>
        <bndbox><xmin>81</xmin><ymin>88</ymin><xmax>522</xmax><ymax>408</ymax></bndbox></object>

Annotations lie beside the pictures or in a folder of their own (Annotations/ and JPEGImages/, or
annotations/ and images/). Every object is a picture of its own, cut to its box; its name is the
class. Pixels count from 1 and both corners are inside (Everingham et al. 2010); a 0, as of tools
that count from 0, is taken for the first pixel too. A file with a document type is refused: nothing
is expanded or fetched.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from xml.parsers import expat

from PIL import Image

from bench.data.folder_scan import DataFolder, Note
from bench.data.readers import images
from bench.data.readers.reader import Box, Listing, Pixels, Source

SUFFIXES: frozenset[str] = frozenset()  # known by its annotations
LOOKS_FOR = "Pascal-VOC (an .xml for most pictures, of the picture's name)"
_XML = frozenset({".xml"})
LARGEST = 1 << 20  # bytes of an annotation; one object takes about 250
_QUALITY = 95  # of the example's JPEG


class _AnnotationError(Exception):
    """Why an annotation cannot be used."""


def _stem(key: str) -> str:
    return PurePosixPath(key).stem


def matches(folder: DataFolder) -> bool:
    pictures = {_stem(key) for key, _ in folder.ending_in(images.SUFFIXES)}
    annotated = {_stem(key) for key, _ in folder.ending_in(_XML)} & pictures
    return 2 * len(annotated) > len(pictures)


def list_sources(folder: DataFolder) -> Listing:
    pictures: dict[str, list[tuple[str, Path]]] = {}
    for key, path in folder.ending_in(images.SUFFIXES):
        pictures.setdefault(PurePosixPath(key).name, []).append((key, path))
    by_stem: dict[str, list[str]] = {}
    for name in pictures:
        by_stem.setdefault(_stem(name), []).append(name)
    sources: list[Source] = []
    skipped: list[tuple[str, str]] = []
    renamed: list[str] = []
    annotations = folder.ending_in(_XML)
    used: set[str] = set()
    empty = 0
    for key, path in annotations:
        try:
            root = _parse(path)
            objects = root.findall("object")
            name, was_renamed = _picture_name(root, key, pictures, by_stem)
            picture_key, picture = _nearest(key, pictures[name])
            if picture_key in used:
                raise _AnnotationError(f"a second annotation of {picture_key}")
        except _AnnotationError as error:
            skipped.append((key, str(error)))
            continue
        used.add(picture_key)
        renamed += [key] if was_renamed else []
        empty += not objects
        for nth, found in enumerate(objects, start=1):
            number = nth if len(objects) > 1 else None
            suffix = "" if number is None else f"#{number}"
            try:
                box = _box(found, root)
            except _AnnotationError as error:
                skipped.append((f"{key}{suffix}", str(error)))
                continue
            sources.append(
                Source(
                    key=f"{picture_key}{suffix}",
                    path=picture,
                    label=(found.findtext("name") or "").strip() or None,
                    box=box,
                    nth=number,
                )
            )
    return Listing(
        sources=tuple(sorted(sources, key=lambda source: source.key)),
        listing_files=tuple(path for _, path in annotations),
        skipped=tuple(skipped),
        notes=tuple(_notes(pictures, sources, used, empty, renamed)),
    )


def _notes(
    pictures: Mapping[str, list[tuple[str, Path]]],
    sources: list[Source],
    used: set[str],
    empty: int,
    renamed: list[str],
) -> list[Note]:
    notes = []
    several = {source.file_key for source in sources if source.nth is not None}
    if several:
        text = f"{len(several)} pictures have several objects: each is cut out by itself"
        notes.append(Note(text=text))
    if empty:
        notes.append(Note(text=f"{empty} annotations have no object: their pictures are left out"))
    bare = [key for found in pictures.values() for key, _ in found if key not in used]
    if bare:
        text = f"{len(bare)} pictures without a usable annotation were left out"
        notes.append(Note(text=text, files=tuple(sorted(bare))))
    if renamed:
        text = f"{len(renamed)} annotations name another file than theirs: taken by their own name"
        notes.append(Note(text=text, files=tuple(renamed)))
    return notes


def _parse(path: Path) -> ElementTree.Element:
    """The root of an annotation. No document type, so no entity but XML's own five."""

    def refuse(*_: object) -> None:
        raise _AnnotationError("it has a document type, which annotations do not need")

    try:
        if path.stat().st_size > LARGEST:
            raise _AnnotationError(f"it is larger than {LARGEST} bytes")
        content = path.read_bytes()
        checker = expat.ParserCreate()
        checker.StartDoctypeDeclHandler = refuse
        checker.Parse(content, True)
        root = ElementTree.fromstring(content)  # after the check above
    except (expat.ExpatError, ElementTree.ParseError, ValueError, LookupError) as error:
        raise _AnnotationError(f"not XML ({str(error).splitlines()[0]})") from error
    except OSError as error:
        raise _AnnotationError("it cannot be read") from error
    if root.tag != "annotation":
        raise _AnnotationError(f"its root is <{root.tag[:30]}>, not <annotation>")
    return root


def _picture_name(
    root: ElementTree.Element,
    key: str,
    pictures: Mapping[str, object],
    by_stem: Mapping[str, list[str]],
) -> tuple[str, bool]:
    """The file name of the annotated picture, and whether <filename> says another."""
    stated = (root.findtext("filename") or "").strip()
    if "/" in stated or "\\" in stated or stated == "..":
        raise _AnnotationError("its <filename> leads to another folder")
    own = by_stem.get(_stem(key), [])
    if stated in pictures and (stated in own or not own):
        return stated, False
    if own:
        # many tools leave out the ending, and renaming pictures leaves <filename> behind
        return own[0], bool(stated) and stated not in (own[0], _stem(key))
    raise _AnnotationError(f"there is no picture {stated or _stem(key)!r}")


def _nearest(key: str, found: list[tuple[str, Path]]) -> tuple[str, Path]:
    """Of pictures of one name, the one in the annotation's folder or in one beside it."""
    if len(found) == 1:
        return found[0]
    here = PurePosixPath(key).parent
    for home in (here, here.parent):
        near = [
            one
            for one in found
            if PurePosixPath(one[0]).parent == home or PurePosixPath(one[0]).parent.parent == home
        ]
        if len(near) == 1:
            return near[0]
    raise _AnnotationError(f"several pictures have its name ({found[0][0]}, {found[1][0]})")


def _box(found: ElementTree.Element, root: ElementTree.Element) -> Box:
    corners = [_number(found, f"bndbox/{name}") for name in ("xmin", "ymin", "xmax", "ymax")]
    if None in corners:
        raise _AnnotationError("its <bndbox> is not four numbers")
    left, top, right, bottom = (value for value in corners if value is not None)
    if right <= left or bottom <= top:
        raise _AnnotationError(f"its box has no size ({right - left:g}x{bottom - top:g})")
    x, y = (value if value < 0 else max(value - 1, 0) for value in (left, top))
    size = _number(root, "size/width"), _number(root, "size/height")
    is_known = size[0] is not None and size[1] is not None and min(size[0], size[1]) > 0
    picture = (int(size[0] or 0), int(size[1] or 0)) if is_known else None
    return Box(x=x, y=y, width=right - x, height=bottom - y, picture=picture)


def _number(element: ElementTree.Element, path: str) -> float | None:
    try:
        value = float(element.findtext(path) or "")
    except ValueError:
        return None
    return value if abs(value) < 1e9 else None


frames = images.frames


def write_example(root: Path, clips: Mapping[str, Pixels]) -> None:
    for folder in ("Annotations", "JPEGImages"):
        (root / folder).mkdir(parents=True)
    for name, pixels in clips.items():
        for place, image in enumerate(pixels):
            file = f"{name}_{place:04d}"
            Image.fromarray(image).save(root / "JPEGImages" / f"{file}.jpg", quality=_QUALITY)
            height, width = image.shape[:2]
            (root / "Annotations" / f"{file}.xml").write_text(
                f"<annotation><filename>{file}.jpg</filename><size><width>{width}</width>"
                f"<height>{height}</height><depth>3</depth></size><object><name>{name}</name>"
                f"<bndbox><xmin>9</xmin><ymin>5</ymin><xmax>{width - 8}</xmax>"
                f"<ymax>{height - 4}</ymax></bndbox></object></annotation>\n"
            )
