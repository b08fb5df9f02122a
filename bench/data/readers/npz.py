"""Arrays of images in .npz files, as MedMNIST ships them (Yang et al. 2023, medmnist.com).

`train_images`, `val_images`, `test_images` are official parts (train, select, report); a lone
`images` has none. Arrays are [N, H, W] or [N, H, W, 3|4], uint8 (uint16: upper 8 bits kept).
A `subjects` array (`train_subjects`...) of N labels states who is who; without one, every image
is its own subject. Rows are inflated a few at a time; pickled arrays are never loaded.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image

from bench.data.readers.reader import (
    Frame,
    Listing,
    Mode,
    Part,
    Source,
    UnreadableError,
    Warn,
    walk,
)

SUFFIXES = frozenset({".npz"})
LOOKS_FOR = "an .npz with train_images, val_images and test_images, or images"
_ARRAYS: dict[str, Part | None] = {
    "train_images": "train",
    "val_images": "select",
    "test_images": "report",
    "images": None,
}
_DTYPES = {"uint8": 0, "uint16": 8}  # bits to shift away


def matches(path: Path) -> bool:
    return bool(walk(path, SUFFIXES))


def list_sources(path: Path) -> Listing:
    sources, skipped, counted = [], [], 0
    for key, file in walk(path, SUFFIXES):
        found = 0
        try:
            with zipfile.ZipFile(file) as archive:
                names = {name.removesuffix(".npy") for name in archive.namelist()}
                for array, part in _ARRAYS.items():
                    if array not in names:
                        continue
                    found += 1
                    name = f"{key}/{array}"
                    try:
                        n = _header(archive, array)[0][0]
                        labels = _labels(archive, array, names, n)
                    except UnreadableError as error:
                        skipped.append((name, str(error)))
                        continue
                    counted += n * (labels is None)
                    subjects = labels or tuple(f"{name}/{i}" for i in range(n))
                    sources.append(Source(key=name, path=file, part=part, frame_subjects=subjects))
        except (OSError, zipfile.BadZipFile) as error:
            skipped.append((key, str(error).lower()))
            continue
        if not found:
            skipped.append((key, f"no array called {', '.join(_ARRAYS)} in it"))
    notes = (f"{counted} images without subjects: each counts as its own",) if counted else ()
    return Listing(sources=tuple(sources), skipped=tuple(skipped), notes=notes)


def frames(source: Source, *, every: int, mode: Mode, warn: Warn) -> Iterator[Frame]:
    array = source.key.rsplit("/", 1)[1]
    try:
        with zipfile.ZipFile(source.path) as archive, archive.open(f"{array}.npy") as stream:
            shape, dtype = _read_header(stream)
            row_bytes = int(np.prod(shape[1:])) * dtype.itemsize
            shift = _DTYPES[dtype.name]
            if shift:
                warn("16 bits a pixel, upper 8 kept")
            for index in range(shape[0]):
                raw = stream.read(row_bytes)
                if len(raw) < row_bytes:
                    raise UnreadableError(f"ends after {index} of {shape[0]} images")
                pixels = np.frombuffer(raw, dtype).reshape(shape[1:])
                small = (pixels >> shift).astype(np.uint8)
                yield np.asarray(Image.fromarray(small.squeeze()).convert(mode))
    except (OSError, zipfile.BadZipFile, zlib.error) as error:
        raise UnreadableError(str(error).lower()) from error


def _header(archive: zipfile.ZipFile, array: str) -> tuple[tuple[int, ...], np.dtype[np.generic]]:
    with archive.open(f"{array}.npy") as stream:
        return _read_header(stream)


def _read_header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[np.generic]]:
    try:
        version = np.lib.format.read_magic(stream)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, fortran, dtype = read(stream)
    except (ValueError, KeyError) as error:
        raise UnreadableError("not a numpy array") from error
    if dtype.name not in _DTYPES:
        raise UnreadableError(f"{dtype.name} pixels (needs {' or '.join(_DTYPES)})")
    if fortran or not (len(shape) == 3 or (len(shape) == 4 and shape[3] in (1, 3, 4))):
        raise UnreadableError(f"shape {list(shape)} (needs [N, H, W] or [N, H, W, 3], C order)")
    if len(shape) == 4 and shape[3] == 4 and dtype.name != "uint8":
        raise UnreadableError("16-bit images with four channels")
    return shape, dtype


def _labels(
    archive: zipfile.ZipFile, array: str, names: set[str], n: int
) -> tuple[str, ...] | None:
    name = array.removesuffix("images") + "subjects"
    if name not in names:
        return None
    with archive.open(f"{name}.npy") as stream:
        try:
            labels = np.lib.format.read_array(stream, allow_pickle=False)
        except ValueError as error:
            raise UnreadableError(f"{name} cannot be read: {error}") from error
    if labels.shape != (n,):
        raise UnreadableError(f"{name} has shape {list(labels.shape)} (needs [{n}])")
    return tuple(str(label) for label in labels)


def write_example(root: Path, clips: Mapping[str, Frame]) -> None:
    root.mkdir(parents=True, exist_ok=True)
    subjects = np.concatenate([[name] * len(pixels) for name, pixels in clips.items()])
    images = np.concatenate(list(clips.values()))
    np.savez_compressed(root / "images.npz", images=images, subjects=subjects)
