"""Pascal-VOC annotations: objects, names that disagree, and XML that is out to do harm."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.data.folder_scan import scan
from bench.data.readers import voc
from bench.data.readers.reader import Box
from tests.unit.data.conftest import Open

OBJECT = (
    "<object><name>{name}</name><bndbox><xmin>{0}</xmin><ymin>{1}</ymin><xmax>{2}</xmax>"
    "<ymax>{3}</ymax></bndbox></object>"
)


def _annotation(file: str, *boxes: tuple[object, ...], size: tuple[int, int] = (40, 30)) -> str:
    objects = "".join(OBJECT.format(*box, name=f"bird{i}") for i, box in enumerate(boxes))
    return (
        f"<annotation><filename>{file}</filename><size><width>{size[0]}</width>"
        f"<height>{size[1]}</height></size>{objects}</annotation>"
    )


def _folder(root: Path, annotations: dict[str, str], pictures: tuple[str, ...] = ()) -> Path:
    (root / "annotations").mkdir(parents=True)
    (root / "images").mkdir()
    for name, text in annotations.items():
        (root / "annotations" / f"{name}.xml").write_text(text)
    for index, name in enumerate(pictures or tuple(f"{name}.png" for name in annotations)):
        pixels = np.random.default_rng(index).integers(0, 256, (30, 40, 3), np.uint8)
        Image.fromarray(pixels).save(root / "images" / name)
    return root


def test_objects_become_sources_with_their_boxes(tmp_path: Path) -> None:
    root = _folder(
        tmp_path,
        {
            "one": _annotation("one.png", (1, 1, 40, 30)),
            "two": _annotation("two.png", (0, 5, 9, 9), (3, 4, 8, 10.5)),
            "none": _annotation("none.png"),
        },
    )
    listing = voc.list_sources(scan(root))
    assert {s.key: s.box for s in listing.sources} == {
        # pixels count from 1 and both corners are inside: the whole picture is 1, 1, 40, 30
        "images/one.png": Box(x=0, y=0, width=40, height=30, picture=(40, 30)),
        "images/two.png#1": Box(x=0, y=4, width=9, height=5, picture=(40, 30)),
        "images/two.png#2": Box(x=2, y=3, width=6, height=7.5, picture=(40, 30)),
    }
    assert [s.label for s in listing.sources] == ["bird0", "bird0", "bird1"]
    assert [s.file_key for s in listing.sources][1:] == ["images/two.png"] * 2
    assert [note.local for note in listing.notes] == [
        "1 pictures have several objects: each is cut out by itself",
        "1 annotations have no object: their pictures are left out",
    ]


def test_objects_of_one_picture_are_one_subject(opened: Open, tmp_path: Path) -> None:
    pair = ((1, 1, 20, 20), (11, 6, 30, 25))
    root = _folder(tmp_path / "set", {f"{c}{c}": _annotation("", *pair) for c in "abcdef"})
    for fields in ({}, {"group_by": r"images/(\w)\w\.png$"}, {"group_by": "(aa)"}):
        cached = opened(root, **fields)
        assert cached.subject.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert opened(root).label_names == ("bird0", "bird1")


def test_names_that_disagree(tmp_path: Path) -> None:
    root = _folder(
        tmp_path,
        {
            "a": _annotation("a", (1, 1, 9, 9)),  # without its ending
            "b": _annotation("old name.jpg", (1, 1, 9, 9)),
            "c": _annotation("gone.jpg", (1, 1, 9, 9)),
            "d": _annotation("../../secret.png", (1, 1, 9, 9)),
            "e": _annotation("other.png", (1, 1, 9, 9)),
            "f": _annotation("a.png", (1, 1, 9, 9)),
        },
        ("a.png", "b.png", "d.png", "other.png", "bare.png"),
    )
    listing = voc.list_sources(scan(root))
    keys = ["images/a.png", "images/b.png", "images/other.png"]
    assert [s.key for s in listing.sources] == keys
    assert dict(listing.skipped) == {
        "annotations/c.xml": "there is no picture 'gone.jpg'",
        "annotations/d.xml": "its <filename> leads to another folder",
        "annotations/f.xml": "a second annotation of images/a.png",
    }
    assert [note.local for note in listing.notes] == [
        "2 pictures without a usable annotation were left out: images/bare.png, images/d.png",
        "1 annotations name another file than theirs: taken by their own name: annotations/b.xml",
    ]


LAUGHS = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10 if i else "ha" * 10}">' for i in range(9))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"<!DOCTYPE annotation [{LAUGHS}]><annotation>&l8;</annotation>", "document type"),
        (
            '<!DOCTYPE a [<!ENTITY f SYSTEM "file:///etc/passwd">]><annotation>&f;</annotation>',
            "document type",
        ),
        ('<!DOCTYPE annotation SYSTEM "http://localhost/x.dtd"><annotation/>', "document type"),
        ("", "not XML"),
        ("<annotation><object>", "not XML"),
        ("<annotation>&nbsp;</annotation>", "not XML"),
        ("<html/>", "root is <html>"),
        ("<annotation>" + " " * voc.LARGEST + "</annotation>", "larger than"),
        (_annotation("x.png", (1, 1, "many", 9)), "not four numbers"),
        (_annotation("x.png", (1, 1, "nan", 9)), "not four numbers"),
        (_annotation("x.png", (5, 5, 5, 9)), r"no size \(0x4\)"),
        (_annotation("x.png", (9, 5, 5, 9)), r"no size \(-4x4\)"),
    ],
)
def test_what_cannot_be_used_is_skipped_by_name(tmp_path: Path, text: str, reason: str) -> None:
    root = _folder(tmp_path, {"a": _annotation("a.png", (1, 1, 9, 9)), "x": text})
    listing = voc.list_sources(scan(root))
    assert [s.key for s in listing.sources] == ["images/a.png"]
    ((key, said),) = listing.skipped
    assert key == "annotations/x.xml"
    assert re.search(reason, said)


def test_a_few_xml_files_do_not_make_a_folder_of_pictures_this_layout(tmp_path: Path) -> None:
    root = _folder(tmp_path, {"a": "<x/>"}, ("a.png", "b.png", "c.png"))
    assert not voc.matches(scan(root))


def test_the_size_that_an_annotation_states_must_be_the_pictures(
    opened: Open, tmp_path: Path
) -> None:
    texts = {c: _annotation(f"{c}.png", (1, 1, 20, 20)) for c in "abcde"}
    texts["f"] = _annotation("f.png", (1, 1, 20, 20), size=(30, 40))
    texts["g"] = _annotation("g.png", (1, 1, 20, 20), size=(0, 0))  # not known
    cached = opened(_folder(tmp_path / "set", texts))
    assert len(cached.images) == 6
    assert any(
        "images/f.png (its box is for a picture of 30x40, this one is 40x30)" in note
        for note in cached.notes
    )
