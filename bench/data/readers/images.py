"""A folder of still images, at any depth, or one image file, through Pillow.

16-bit images keep their upper 8 bits (said in a warning): Pillow's own conversion would clip.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from bench.data.readers.reader import Frame, Listing, Mode, Source, UnreadableError, Warn, walk

SUFFIXES = frozenset(
    {".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"}
)
LOOKS_FOR = f"images at any depth ({' '.join(sorted(SUFFIXES))})"


def matches(path: Path) -> bool:
    return bool(walk(path, SUFFIXES))


def list_sources(path: Path) -> Listing:
    return Listing(sources=tuple(Source(key=k, path=file) for k, file in walk(path, SUFFIXES)))


def frames(source: Source, *, every: int, mode: Mode, warn: Warn) -> Iterator[Frame]:
    yield _decode(source.path, mode, warn)


def _decode(path: Path, mode: Mode, warn: Warn) -> Frame:
    try:
        with warnings.catch_warnings(), Image.open(path) as image:
            warnings.simplefilter("ignore")  # Pillow's, of odd metadata and large images
            image.load()
            upright = ImageOps.exif_transpose(image)
            if upright.mode.startswith("I") or upright.mode == "F":
                upright = _eight_bits(upright, warn)
            return np.asarray(upright.convert(mode))
    except UnidentifiedImageError as error:
        raise UnreadableError("not an image that Pillow knows") from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UnreadableError(str(error).splitlines()[0].lower()) from error


def _eight_bits(image: Image.Image, warn: Warn) -> Image.Image:
    if image.mode == "F":
        raise UnreadableError("floating-point pixels, whose range is not known")
    deep = np.asarray(image)
    if deep.min() < 0 or deep.max() > 65535:
        raise UnreadableError("pixels outside 0..65535")
    warn("16 bits a pixel, upper 8 kept")
    return Image.fromarray((deep.astype(np.uint16) >> 8).astype(np.uint8))


def write_example(root: Path, clips: Mapping[str, Frame]) -> None:
    for name, pixels in clips.items():
        folder = root / name
        folder.mkdir(parents=True, exist_ok=True)
        for index, image in enumerate(pixels):
            Image.fromarray(image).save(folder / f"frame_{index:04d}.png")
