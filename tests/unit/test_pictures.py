"""Pages of pictures: rows of different heights stand apart."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from bench.pictures import HEAD, captioned_rows


def test_a_tall_picture_covers_no_caption_below_it() -> None:
    tall, flat = np.zeros((1, 20, 10), np.uint8), np.zeros((1, 10, 20), np.uint8)
    page = captioned_rows(["one"], [("", [flat]), ("", [tall]), ("", [flat])])
    pixels = np.asarray(Image.open(io.BytesIO(page)).convert("L"))
    dark = (pixels[:, 0] < 128).astype(int)
    begins, ends = np.flatnonzero(np.diff(dark) == 1), np.flatnonzero(np.diff(dark) == -1)
    assert len(begins) == 3  # no two pictures touch
    assert all(begins[1:] - ends[:2] >= HEAD)
