"""Pictures as PNG files: grids, and rows with captions; of a volume its middle slice is drawn."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw

COLUMNS = 8
SMALLEST_SIDE = 64  # smaller pictures are enlarged by whole factors, so that a person sees them
TILE_SIDE = 128  # the same of the pictures in rows
GAP, HEAD = 4, 16  # pixels between pictures of rows, and above a row for its caption


def save_grid(images: np.ndarray[Any, Any], path: Path, columns: int = COLUMNS) -> None:
    """uint8 N C H W or N C D H W -> a PNG of rows of `columns` pictures."""
    from torchvision.utils import save_image

    if images.ndim == 5:
        images = images[:, :, images.shape[2] // 2]
    factor = max(1, SMALLEST_SIDE // images.shape[-1])
    large = images.repeat(factor, axis=-1).repeat(factor, axis=-2)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_image(torch.from_numpy(large).float() / 255, path, nrow=columns, padding=2, pad_value=0.2)


def captioned_rows(
    titles: Sequence[str], rows: Sequence[tuple[str, Sequence[NDArray[np.uint8]]]]
) -> bytes:
    """A PNG of rows of pictures, uint8 [C, *spatial], each with its caption; titles: of columns."""
    tiles = [[_tile(picture) for picture in pictures] for _, pictures in rows]
    height = max(tile.shape[0] for line in tiles for tile in line)
    width = max(tile.shape[1] for line in tiles for tile in line)
    across = (width + GAP) * len(titles) - GAP
    draw = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    across = max([across, *(2 * GAP + int(draw.textlength(caption)) for caption, _ in rows)])
    page = Image.new("RGB", (across, HEAD + (height + HEAD + GAP) * len(rows)), "white")
    draw = ImageDraw.Draw(page)
    for column, title in enumerate(titles):
        draw.text((column * (width + GAP) + 2, 2), title, fill="black")
    for number, ((caption, _), line) in enumerate(zip(rows, tiles, strict=True)):
        top = HEAD + number * (height + HEAD + GAP)
        draw.text((2, top + 2), caption, fill="black")
        for column, tile in enumerate(line):
            page.paste(Image.fromarray(tile), (column * (width + GAP), top + HEAD))
    stored = io.BytesIO()
    page.save(stored, "PNG")
    return stored.getvalue()


def _tile(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """uint8 [C, *spatial] -> [H, W, 3], enlarged; of other than three channels the first."""
    if picture.ndim == 4:
        picture = picture[:, picture.shape[1] // 2]
    coloured = picture if len(picture) == 3 else np.repeat(picture[:1], 3, axis=0)
    pixels = coloured.transpose(1, 2, 0)
    factor = -(-TILE_SIDE // min(pixels.shape[:2]))
    return np.ascontiguousarray(pixels.repeat(factor, 0).repeat(factor, 1))
