"""Cuts pictures to the box around their object, and keeps the box's place as a mask.

The cut is the box with padding, in the wanted aspect, moved inside the picture. Where that is too
large for the picture the padding shrinks; where the box alone is, as a long bird in a narrow
picture, the cut has another aspect and `fit` decides about the rest.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.data.readers.reader import Box, Frame, UnreadableError
from bench.data.reading import Reading

_ROUNDING = 0.5  # pixels that a box may reach beyond its picture without being said to

Interval = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Cut:
    """A frame cut to its box; whether the box reached beyond the picture."""

    frame: Frame
    is_clipped: bool


def cut_to_box(frame: Frame, box: Box, reading: Reading) -> Cut:
    """The frame's part around the box, with a further mask, last: uint8 1 inside the box.

    Raises UnreadableError for a box without size, one outside the picture, and for a picture of
    another size than the box was drawn in.
    """
    height, width = frame.pixels.shape[:2]
    if box.picture not in (None, (width, height)):
        assert box.picture is not None
        stated = "x".join(map(str, box.picture))
        raise UnreadableError(f"its box is for a picture of {stated}, this one is {width}x{height}")
    numbers = (box.x, box.y, box.width, box.height)
    if not all(map(math.isfinite, numbers)) or box.width <= 0 or box.height <= 0:
        raise UnreadableError(f"its box has no size ({box.width:g}x{box.height:g})")
    left, right = max(box.x, 0.0), min(box.x + box.width, float(width))
    top, bottom = max(box.y, 0.0), min(box.y + box.height, float(height))
    inside = _marked(frame, (left, right), (top, bottom))
    if not inside.any():
        raise UnreadableError("its box is outside the picture")
    over = max(-box.x, -box.y, box.x + box.width - width, box.y + box.height - height)
    padding = reading.box_padding * max(right - left, bottom - top)
    tall, wide = bottom - top + 2 * padding, right - left + 2 * padding
    aspect = reading.size[1] / reading.size[0]
    tall, wide = max(tall, wide / aspect), max(wide, tall * aspect)
    shrunk = min(1.0, width / wide, height / tall)
    columns = _interval((left + right) / 2, max(wide * shrunk, right - left), width)
    rows = _interval((top + bottom) / 2, max(tall * shrunk, bottom - top), height)
    masks = inside[None] if frame.masks is None else np.concatenate([frame.masks, inside[None]])
    return Cut(
        frame=dataclasses.replace(
            frame,
            pixels=frame.pixels[slice(*rows), slice(*columns)],
            masks=np.ascontiguousarray(masks[:, slice(*rows), slice(*columns)]),
        ),
        is_clipped=over > _ROUNDING,
    )


def _marked(
    frame: Frame, across: tuple[float, float], down: tuple[float, float]
) -> NDArray[np.uint8]:
    """uint8 [H, W]: 1 where a pixel's centre lies in the box."""
    height, width = frame.pixels.shape[:2]
    columns, rows = np.arange(width) + 0.5, np.arange(height) + 0.5
    in_column = (columns >= across[0]) & (columns < across[1])
    in_row = (rows >= down[0]) & (rows < down[1])
    return (in_row[:, None] & in_column).astype(np.uint8)


def _interval(centre: float, length: float, side: int) -> Interval:
    """Whole pixels of about `length` around the centre, moved into 0..side; all where too long."""
    pixels = min(side, max(1, round(length)))
    start = round(centre - pixels / 2)
    start = min(max(start, 0), side - pixels)
    return start, start + pixels
