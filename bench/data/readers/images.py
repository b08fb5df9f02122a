"""A folder of still images, at any depth of folders, or one image file, through Pillow.

Pixels keep their depth: 8 and 16 bits a channel, floating point, and signed or 32-bit integers as
float32. Pillow reads 16-bit colour as 8 bits: those files go through libav. Files that state how
many of 16 bits they use (PNG's sBIT, TIFF's BitsPerSample or MaxSampleValue) are believed. Of a
file with several pages the first is read. Masks beside images (`bench.data.companion_masks`) are
no images.
"""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from bench.data import companion_masks
from bench.data.folder_scan import DataFolder
from bench.data.readers import video_file
from bench.data.readers.colour import to_mode
from bench.data.readers.reader import (
    Frame,
    Listing,
    Mode,
    Pixels,
    Source,
    UnreadableError,
    Warn,
)
from bench.data.value_range import FULL_16_BITS, ValueRange

SUFFIXES = frozenset(
    {".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"}
)
LOOKS_FOR = f"images at any depth ({' '.join(sorted(SUFFIXES))})"
_BITS_PER_SAMPLE, _PHOTOMETRIC, _MAX_SAMPLE, _FLOAT_MIN, _FLOAT_MAX = 258, 262, 281, 340, 341
_LIBAV_FORMATS = {"PNG": "png_pipe", "TIFF": "tiff_pipe"}


def matches(folder: DataFolder) -> bool:
    return bool(folder.ending_in(SUFFIXES))


def list_sources(folder: DataFolder) -> Listing:
    files, masks, notes = companion_masks.split_off(folder.ending_in(SUFFIXES))
    sources = [Source(key=key, path=path, mask_path=masks.get(key)) for key, path in files]
    return Listing(sources=tuple(sources), listing_files=tuple(masks.values()), notes=notes)


def frames(source: Source, *, every: int, mode: Mode, warn: Warn) -> Iterator[Frame]:
    pixels, stated = _decode(source.path, mode, warn)
    masks = None
    if source.mask_path is not None:
        masks = _decode_mask(source.mask_path)[None]
        if masks.shape[1:] != pixels.shape[:2]:
            sizes = ["x".join(map(str, shape)) for shape in (masks.shape[1:], pixels.shape[:2])]
            raise UnreadableError(f"its mask is {sizes[0]}, the image {sizes[1]}")
    yield Frame(pixels=pixels, stated_range=stated, masks=masks)


def _decode(path: Path, mode: Mode, warn: Warn) -> tuple[Pixels, ValueRange | None]:
    try:
        with warnings.catch_warnings(), Image.open(path) as image:
            warnings.simplefilter("ignore")  # Pillow's, of odd metadata and large images
            pages = getattr(image, "n_frames", 1)
            if pages > 1:
                warn(f"{pages - 1} further pages not read")
            if _is_deep_colour(image):
                if image.format not in _LIBAV_FORMATS:
                    raise UnreadableError(f"16-bit colour in {image.format}, which is not read")
                deep = video_file.decode_deep_colour(path, _LIBAV_FORMATS[image.format])
                return to_mode(deep, mode), _stated_range(path, image)
            image.load()
            stated = _stated_range(path, image)
            upright = ImageOps.exif_transpose(image)
            if upright.mode.startswith("I") or upright.mode == "F":
                if getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == 0:
                    warn("white is 0 in it: not inverted")
                is_unsigned = upright.mode != "I" or image.format in ("PNG", "PPM")
                kind = np.uint16 if is_unsigned and upright.mode != "F" else np.float32
                return to_mode(np.asarray(upright).astype(kind), mode), stated
            if "A" in upright.getbands() and np.asarray(upright.getchannel("A")).min() < 255:
                warn("transparent in parts: read as if it were not")
            return np.asarray(upright.convert(mode)), stated
    except UnidentifiedImageError as error:
        raise UnreadableError("not an image that Pillow knows") from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        lines = str(error).splitlines() or [type(error).__name__]
        raise UnreadableError(lines[0].lower()) from error


def _is_deep_colour(image: Image.Image) -> bool:
    """Whether Pillow would make 8 bits of 16 in the channels of a colour image."""
    tiles = getattr(image, "tile", [])  # of files only: how their bytes become pixels
    if image.mode not in ("RGB", "RGBA", "LA") or not tiles:
        return False
    arguments = tiles[0][3]
    raw_mode = arguments[0] if isinstance(arguments, tuple) else arguments
    return ";16" in str(raw_mode)


def _stated_range(path: Path, image: Image.Image) -> ValueRange | None:
    """The range that a 16-bit or floating-point file states for its pixels."""
    tags: Any = getattr(image, "tag_v2", {})
    if image.mode == "F" or (image.mode == "I" and image.format == "TIFF"):
        low, high = tags.get(_FLOAT_MIN), tags.get(_FLOAT_MAX)
        numbers = [v[0] if isinstance(v, tuple) else v for v in (low, high)]
        if None in numbers or not np.isfinite(numbers).all() or numbers[0] >= numbers[1]:
            return None
        return float(numbers[0]), float(numbers[1])
    if not image.mode.startswith("I") and not _is_deep_colour(image):
        return None
    bits = 16
    if image.format == "PPM":
        return FULL_16_BITS  # Pillow has scaled them by the maximum in the header
    if image.format == "PNG":
        bits = _significant_bits(path)
    elif image.format == "TIFF":
        bits = min(tags.get(_BITS_PER_SAMPLE, (16,)))
        largest = tags.get(_MAX_SAMPLE)
        if bits == 16 and largest:
            bits = max(int(v).bit_length() for v in np.atleast_1d(largest))
    return (0.0, float(2**bits - 1)) if 1 <= bits < 16 else None


def _significant_bits(path: Path) -> int:
    """The largest number in a PNG's sBIT chunk; 16 without one."""
    with path.open("rb") as stream:
        stream.seek(8)
        while len(head := stream.read(8)) == 8:
            length, name = struct.unpack(">I4s", head)
            if name == b"sBIT":
                return max(stream.read(min(length, 4)), default=16)
            if name == b"IDAT":
                break
            stream.seek(length + 4, 1)
    return 16


def _decode_mask(path: Path) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """uint8 [H, W]: the file's values as classes; 0 and 255 alone become 0 and 1."""
    try:
        with Image.open(path) as image:
            labels = np.asarray(image if image.mode in ("L", "P") else image.convert("L"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UnreadableError("its mask cannot be read") from error
    return (labels > 0).astype(np.uint8) if np.isin(labels, (0, 255)).all() else labels


def write_example(root: Path, clips: Mapping[str, Pixels]) -> None:
    for name, pixels in clips.items():
        folder = root / name
        folder.mkdir(parents=True, exist_ok=True)
        for index, image in enumerate(pixels):
            Image.fromarray(image).save(folder / f"frame_{index:04d}.png")
