"""CUB-200-2011's layout: five tables joined by an id, and rows that do not agree."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.data.folder_scan import scan
from bench.data.readers import cub
from bench.data.readers.reader import Box
from bench.errors import BenchError

FILES = ["001.Gull/a 1.jpg", "001.Gull/b.jpg", "002.Wren/c.jpg"]


def _layout(root: Path, **tables: str) -> Path:
    """Three images; `tables` replaces the text of a table by its name without the ending."""
    for file in FILES:
        (root / "images" / file).parent.mkdir(parents=True, exist_ok=True)
        (root / "images" / file).write_bytes(b"")
    rows = [(file, (1, 2, 3.5, 4), int(i != 2)) for i, file in enumerate(FILES)]
    cub.write_tables(root, rows)
    for name, text in tables.items():
        (root / f"{name}.txt").write_text(text)
    return root


def test_parts_labels_boxes_and_subjects(tmp_path: Path) -> None:
    listing = cub.list_sources(scan(_layout(tmp_path)))
    assert [s.key for s in listing.sources] == [f"images/{file}" for file in FILES]
    assert [s.part for s in listing.sources] == ["train", "train", "report"]
    assert [s.label for s in listing.sources] == ["001.Gull", "001.Gull", "002.Wren"]
    assert [s.subject for s in listing.sources] == FILES
    assert listing.sources[0].box == Box(x=1, y=2, width=3.5, height=4)
    assert listing.skipped == ()
    assert listing.notes == ()
    assert listing.listing_files == tuple(tmp_path / name for name in cub.TABLES)


def test_a_folder_around_the_layout_is_found(tmp_path: Path) -> None:
    _layout(tmp_path / "CUB_200_2011")
    assert cub.matches(scan(tmp_path))
    assert len(cub.list_sources(scan(tmp_path)).sources) == 3


def test_a_folder_called_images_beside_one_table_is_not_it(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images.txt").write_text("1 a.jpg\n")
    assert not cub.matches(scan(tmp_path))


@pytest.mark.parametrize(
    ("table", "text", "key", "reason"),
    [
        ("images", "1 001.Gull/a 1.jpg\n3 002.Wren/gone.jpg\n", "002.Wren/gone.jpg", "missing"),
        ("images", "1 001.Gull/a 1.jpg\n2 ../b.jpg\n", "../b.jpg", "leads out of the folder"),
        ("images", "1 001.Gull/a 1.jpg\n2 /etc/passwd\n", "/etc/passwd", "leads out"),
        ("images", "1 001.Gull/a 1.jpg\n2 001.Gull/a 1.jpg\n", FILES[0], "listed twice"),
        ("bounding_boxes", "1 1 2 3 4\n3 1 2 3 4\n", FILES[1], "bounding_boxes.txt has no row"),
        ("bounding_boxes", "1 1 2 3 4\n2 1 2 3 x\n3 1 2 3 4\n", FILES[1], "not four numbers"),
        ("train_test_split", "1 1\n2 2\n3 0\n", FILES[1], "says '2', not 0 or 1"),
        ("train_test_split", "1 1\n3 0\n", FILES[1], "train_test_split.txt has no row"),
        ("image_class_labels", "1 1\n3 2\n", FILES[1], "image_class_labels.txt has no row"),
        ("image_class_labels", "1 1\n2 9\n3 2\n", FILES[1], "class 9 is not in classes.txt"),
        (
            "image_class_labels",
            "1 1\n2 2\n3 2\n",
            FILES[1],
            "002.Wren, its folder is 001.Gull",
        ),
        ("classes", "1 001.Gull\n2 002.Robin\n", FILES[2], "says 002.Robin, its folder is"),
    ],
)
def test_an_image_that_a_table_lacks_or_contradicts_is_left_out_by_name(
    tmp_path: Path, table: str, text: str, key: str, reason: str
) -> None:
    listing = cub.list_sources(scan(_layout(tmp_path, **{table: text})))
    assert len(listing.skipped) == 1
    assert listing.skipped[0][0] == f"images/{key}"
    assert reason in listing.skipped[0][1]
    assert f"images/{FILES[0]}" in [source.key for source in listing.sources]
    outside = [s.path for s in listing.sources if not s.path.is_relative_to(tmp_path / "images")]
    assert outside == []


def test_rows_and_files_that_nobody_lists_are_counted(tmp_path: Path) -> None:
    root = _layout(tmp_path, images="1 001.Gull/a 1.jpg\n2 001.Gull/b.jpg\n")
    assert [note.local for note in cub.list_sources(scan(root)).notes] == [
        "1 rows of bounding_boxes.txt are about images that images.txt does not list",
        "1 rows of train_test_split.txt are about images that images.txt does not list",
        "1 rows of image_class_labels.txt are about images that images.txt does not list",
        "1 images not in images.txt were left out: 002.Wren/c.jpg",
    ]


@pytest.mark.parametrize(
    ("table", "text", "reason"),
    [
        (
            "images",
            "1 a.jpg\nrubbish\n",
            r"images\.txt, line 2: 'rubbish' is not an id and 1",
        ),
        ("bounding_boxes", "1 2 3 4\n", r"bounding_boxes\.txt, line 1: .* an id and 4 values"),
        ("classes", "1 a\n1 b\n", r"classes\.txt, line 2: the id 1 stands there twice"),
    ],
)
def test_a_broken_table_is_one_line(tmp_path: Path, table: str, text: str, reason: str) -> None:
    with pytest.raises(BenchError, match=reason):
        cub.list_sources(scan(_layout(tmp_path, **{table: text})))


def test_a_missing_or_binary_table_is_named(tmp_path: Path) -> None:
    root = _layout(tmp_path)
    (root / "classes.txt").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(BenchError, match=r"classes\.txt cannot be read as text"):
        cub.list_sources(scan(root))
    (root / "classes.txt").unlink()
    with pytest.raises(BenchError, match=r"lacks classes\.txt; CUB-200-2011 has images\.txt"):
        cub.list_sources(scan(root))


def test_include_leaves_out_without_a_word_for_each(tmp_path: Path) -> None:
    listing = cub.list_sources(scan(_layout(tmp_path), include=("*Wren*",)))
    assert [s.key for s in listing.sources] == ["images/002.Wren/c.jpg"]
    assert listing.skipped == ()
