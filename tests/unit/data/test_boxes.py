"""Pictures cut to their box: what is in the cut, where the box is, and boxes that are wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bench.data.boxes import cut_to_box
from bench.data.readers.cub import write_tables
from bench.data.readers.reader import Box, Frame, UnreadableError
from bench.data.reading import Reading
from bench.errors import BenchError
from tests.unit.data.conftest import Open, grey_pictures, write_images


def _places(height: int, width: int) -> NDArray[np.uint16]:
    """Every pixel says where it is."""
    return np.arange(height * width, dtype=np.uint16).reshape(height, width)


def _cut(box: Box, size: tuple[int, int] = (8, 8), **fields: Any) -> NDArray[np.uint16]:
    return cut_to_box(Frame(pixels=_places(40, 60)), box, Reading(size=size, **fields)).frame.pixels


def _corners(cut: NDArray[np.uint16]) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) in the picture of 60 columns."""
    return cut[0, 0] % 60, cut[0, 0] // 60, cut[-1, -1] % 60 + 1, cut[-1, -1] // 60 + 1


def test_by_hand() -> None:
    box = Box(x=20, y=10, width=10, height=20)
    # 10 % of 20 on each side of the height: 24; as wide for a square, around the middle, 25
    assert _corners(_cut(box)) == (13, 8, 37, 32)
    assert _corners(_cut(box, box_padding=0.0)) == (15, 10, 35, 30)
    assert _corners(_cut(box, size=(8, 4), box_padding=0.0)) == (20, 10, 30, 30)
    # at the rim the cut is moved inwards
    assert _corners(_cut(Box(x=0, y=0, width=10, height=10), box_padding=0.5)) == (0, 0, 20, 20)
    # too much padding shrinks to the largest square; a box of another aspect is kept whole
    assert _corners(_cut(Box(x=30, y=10, width=20, height=20), box_padding=2)) == (20, 0, 60, 40)
    assert _corners(_cut(Box(x=2, y=10, width=56, height=20))) == (2, 0, 58, 40)


def test_the_box_is_the_last_mask_right_to_the_pixel() -> None:
    own = np.ones((1, 40, 60), np.uint8)
    frame = Frame(pixels=_places(40, 60), masks=own)
    cut = cut_to_box(frame, Box(x=20, y=10, width=10, height=20), Reading(size=(8, 8))).frame
    assert cut.masks is not None
    assert cut.masks.shape == (2, 24, 24)
    inside = cut.pixels[cut.masks[1] == 1]
    assert inside.size == 200
    assert set(inside % 60) == set(range(20, 30))
    assert set(inside // 60) == set(range(10, 30))
    assert frame.pixels.shape == (40, 60), "the frame itself was changed"


@settings(max_examples=100, deadline=None)
@given(
    x=st.floats(-30, 80), y=st.floats(-30, 60), width=st.floats(0.1, 120),
    height=st.floats(0.1, 120), padding=st.floats(0, 2), tall=st.integers(4, 16),
)  # fmt: skip
def test_every_box_is_whole_in_its_cut_or_refused(
    x: float, y: float, width: float, height: float, padding: float, tall: int
) -> None:
    box, reading = Box(x=x, y=y, width=width, height=height), Reading(
        size=(tall, 8), box_padding=padding
    )  # fmt: skip
    columns, rows = np.arange(60) + 0.5, np.arange(40) + 0.5
    expected = np.outer((rows >= y) & (rows < y + height), (columns >= x) & (columns < x + width))
    if not expected.any():
        with pytest.raises(UnreadableError, match="outside the picture"):
            cut_to_box(Frame(pixels=_places(40, 60)), box, reading)
        return
    cut = cut_to_box(Frame(pixels=_places(40, 60)), box, reading)
    assert cut.frame.masks is not None
    # one pixel at the rim: the cut is rounded to whole pixels
    inside = set(cut.frame.pixels[cut.frame.masks[-1] == 1].tolist())
    wanted = np.zeros((40, 60), bool)
    wanted[1:-1, 1:-1] = expected[2:, 2:] & expected[:-2, :-2] & expected[1:-1, 1:-1]
    assert inside <= set(_places(40, 60)[expected].tolist())
    assert inside >= set(_places(40, 60)[wanted].tolist())
    beyond = max(-x, -y, x + width - 60, y + height - 40)
    assert cut.is_clipped == (beyond > 0.5)


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        (Box(x=5, y=5, width=0, height=9), "no size"),
        (Box(x=5, y=5, width=9, height=-1), "no size"),
        (Box(x=float("nan"), y=5, width=9, height=9), "no size"),
        (Box(x=60, y=5, width=9, height=9), "outside the picture"),
        (Box(x=5, y=-9, width=9, height=9), "outside the picture"),
        (
            Box(x=5, y=5, width=9, height=9, picture=(40, 60)),
            "for a picture of 40x60, this one is 60x40",
        ),
    ],
)
def test_wrong_boxes_say_why(box: Box, reason: str) -> None:
    with pytest.raises(UnreadableError, match=reason):
        _cut(box)


def _set(root: Path, boxes: list[tuple[float, float, float, float]]) -> Path:
    pictures = grey_pictures(len(boxes), side=32)
    write_images(root, {f"images/1.a/{name}": pixels for name, pixels in pictures.items()})
    files = [f"1.a/{name}" for name in pictures]
    rows = [(file, box, i % 2) for i, (file, box) in enumerate(zip(files, boxes, strict=True))]
    write_tables(root, rows)
    return root


def test_a_set_with_wrong_boxes_says_what_was_skipped_and_clipped(
    opened: Open, tmp_path: Path
) -> None:
    good = (8.0, 8.0, 16.0, 16.0)
    root = _set(
        tmp_path / "set",
        [*[good] * 7, (40, 0, 5, 5), (0, 0, 0, 5), (28, 28, 10, 10)],
    )
    cached = opened(root)
    assert len(cached.images) == 8
    notes = "\n".join(cached.notes)
    assert "7 of class" not in notes
    assert "2 files skipped: images/1.a/hx7.png (its box is outside the picture), " in notes
    assert "images/1.a/ix8.png (its box has no size (0x5))" in notes
    assert "1 boxes reach beyond their picture: clipped: images/1.a/jx9.png" in notes
    assert "10 pictures are cut to their object's box, 10 % of their longer side" in notes
    assert not any(name in "".join(cached.record_notes) for name in ("hx7", "ix8", "jx9"))
    assert cached.masks is not None
    assert cached.masks.shape == (8, 1, 16, 16)
    # 16 of the 19 or 20 pixels of the cut, at 16 pixels
    assert cached.masks[0, 0].sum() == pytest.approx(13.1**2, rel=0.1)
    assert cached.record()["settings"]["box_padding"] == 0.1


def test_padding_is_part_of_the_identity_and_parts_may_be_dealt_anew(
    opened: Open, tmp_path: Path
) -> None:
    root = _set(tmp_path / "set", [(8.0, 8.0, 16.0, 16.0)] * 20)
    official, wide, dealt = opened(root), opened(root, box_padding=0.5), opened(root, parts="dealt")
    assert len({official.digest, wide.digest, dealt.digest}) == 3
    assert not np.array_equal(official.images, wide.images)
    assert np.array_equal(official.images, dealt.images)
    counts = [[len(rows) for rows in one.parts.values()] for one in (official, dealt)]
    # ten images each for training and testing, the former 3:1; then three, one, one of every five
    assert counts == [[7, 3, 10], [12, 4, 4]] or counts == [[8, 2, 10], [12, 4, 4]]
    assert "set aside: all subjects were dealt anew" in "\n".join(dealt.notes)


def test_official_parts_are_refused_where_there_are_none(opened: Open, tmp_path: Path) -> None:
    bare = write_images(tmp_path / "bare", grey_pictures(6))
    with pytest.raises(BenchError, match=r"these data \(read as images\) have no parts"):
        opened(bare, parts="official", official_parts=True)
    opened(bare)
    with pytest.raises(BenchError, match="--parts official"):  # a cache that is there, too
        opened(bare, parts="official", official_parts=True)
    stated = _set(tmp_path / "set", [(8.0, 8.0, 16.0, 16.0)] * 20)
    assert opened(stated, official_parts=True).digest == opened(stated).digest


def test_padding_without_boxes_is_said_to_change_nothing(opened: Open, tmp_path: Path) -> None:
    root = write_images(tmp_path / "set", grey_pictures(6))
    assert "no boxes: --box-padding changes nothing" in "\n".join(
        opened(root, box_padding=0.3).notes
    )
    assert "box" not in "".join(opened(root).notes)
