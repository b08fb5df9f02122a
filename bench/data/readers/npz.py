"""Arrays of images or volumes in .npz files, as MedMNIST ships them (Yang et al. 2023).

`train_images`, `val_images`, `test_images` are official parts (train, select, report); a lone
`images` has none. Images are [N, H, W] or [N, H, W, 1|3|4]. In the place of `images` stands
`volumes` for [N, D, H, W] or [N, D, H, W, C]. Beside each, under the same prefix:

    subjects  [N] who is who; without it, every image is its own subject
    labels    [N] or [N, 1], the class of each
    masks     uint8 or bool [N, *spatial] or [N, *spatial, M], class labels of the pixels

`value_range` [2] states the values for black and white of the whole file. Rows are inflated a few
at a time; pickled arrays are never loaded.
"""

from __future__ import annotations

import contextlib
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from bench.data.folder_scan import DataFolder, Note, printable
from bench.data.readers.colour import to_mode
from bench.data.readers.reader import (
    Frame,
    Listing,
    Mode,
    Part,
    Pixels,
    Source,
    UnreadableError,
    Warn,
)
from bench.data.value_range import ValueRange

SUFFIXES = frozenset({".npz"})
LOOKS_FOR = "an .npz with train_images, val_images and test_images, or images, or volumes"
_PARTS: dict[str, Part | None] = {
    "train_": "train",
    "val_": "select",
    "test_": "report",
    "": None,
}
_DIMS = {"images": 2, "volumes": 3}
# How the pixels of an array are kept; float64 loses digits, which is said.
_KEPT_AS = {
    "uint8": "uint8",
    "uint16": "uint16",
    "int16": "float32",
    "float16": "float32",
    "float32": "float32",
    "float64": "float32",
}


@dataclass(frozen=True, kw_only=True)
class _Header:
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def row_bytes(self) -> int:
        return int(np.prod(self.shape[1:])) * self.dtype.itemsize


def matches(folder: DataFolder) -> bool:
    return bool(folder.ending_in(SUFFIXES))


def list_sources(folder: DataFolder) -> Listing:
    sources: list[Source] = []
    skipped: list[tuple[str, str]] = []
    notes: list[Note] = []
    for key, file in folder.ending_in(SUFFIXES):
        try:
            with zipfile.ZipFile(file) as archive:
                names = {name.removesuffix(".npy") for name in archive.namelist()}
                arrays = [(p, kind) for kind in _DIMS for p in _PARTS if f"{p}{kind}" in names]
                if not arrays:
                    wanted = ", ".join(f"{p}{kind}" for kind in _DIMS for p in _PARTS)
                    skipped.append((key, f"no array called {wanted} in it"))
                for prefix, kind in arrays:
                    name = f"{key}/{prefix}{kind}"
                    try:
                        sources.append(_source(archive, file, name, prefix, kind, notes))
                    except UnreadableError as error:
                        skipped.append((name, str(error)))
        except (OSError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
            skipped.append((key, str(error).lower()))
    alone = [len(s.frame_subjects or ()) for s in sources if not s.subjects_known]
    if alone:
        text = f"{sum(alone)} images without subjects: each counts as its own"
        notes.append(Note(text=text))
    return Listing(
        sources=tuple(sorted(sources, key=lambda source: source.key)),
        skipped=tuple(skipped),
        notes=tuple(notes),
    )


def _source(
    archive: zipfile.ZipFile, file: Path, name: str, prefix: str, kind: str, notes: list[Note]
) -> Source:
    header = _pixel_header(archive, f"{prefix}{kind}", _DIMS[kind])
    count, dims = header.shape[0], _DIMS[kind]
    subjects = _column(archive, f"{prefix}subjects")
    if subjects is not None and subjects.shape != (count,):
        raise UnreadableError(
            f"{prefix}subjects has shape {list(subjects.shape)} (needs [{count}])"
        )
    labels = _column(archive, f"{prefix}labels")
    if labels is not None and labels.shape not in ((count,), (count, 1)):
        text = f"labels of shape {list(labels.shape)} are not one class an image: not read"
        notes.append(Note(text=text, files=(name,)))
        labels = None
    return Source(
        key=name,
        path=file,
        part=_PARTS[prefix],
        frame_subjects=(
            tuple(f"{name}/{i}" for i in range(count)) if subjects is None else _texts(subjects)
        ),
        subjects_known=subjects is not None,
        frame_labels=None if labels is None else _texts(labels),
        dims=dims,
        channels=None if dims == 2 else (*header.shape, 1)[4],
    )


def _texts(column: NDArray[Any]) -> tuple[str, ...]:
    return tuple(printable(str(item)) for item in column.reshape(-1).tolist())


def frames(source: Source, *, every: int, mode: Mode, warn: Warn) -> Iterator[Frame]:
    array = source.key.rsplit("/", 1)[1]
    kind = array.rsplit("_", 1)[-1]
    try:
        with contextlib.ExitStack() as stack:
            archive = stack.enter_context(zipfile.ZipFile(source.path))
            header = _pixel_header(archive, array, source.dims)
            if header.dtype == np.float64:
                warn("float64 pixels, kept as float32")
            stream = _after_header(stack, archive, array)
            masks = _masks(stack, archive, array.removesuffix(kind) + "masks", header, source.dims)
            stated = _value_range(archive)
            for index in range(header.shape[0]):
                raw = stream.read(header.row_bytes)
                if len(raw) < header.row_bytes:
                    raise UnreadableError(f"ends after {index} of {header.shape[0]} images")
                pixels = np.frombuffer(raw, header.dtype).reshape(header.shape[1:])
                with np.errstate(over="ignore"):  # what float32 cannot hold is not finite there
                    pixels = pixels.astype(_KEPT_AS[header.dtype.name], copy=False)
                yield Frame(
                    pixels=to_mode(pixels, mode) if source.dims == 2 else pixels,
                    stated_range=stated,
                    masks=None if masks is None else next(masks),
                )
    except (OSError, zipfile.BadZipFile, zlib.error, NotImplementedError, KeyError) as error:
        raise UnreadableError(str(error).lower()) from error


def _masks(
    stack: contextlib.ExitStack, archive: zipfile.ZipFile, name: str, of: _Header, dims: int
) -> Iterator[NDArray[np.uint8]] | None:
    """uint8 [M, *spatial] of every image; None where the file has no masks."""
    if f"{name}.npy" not in archive.namelist():
        return None
    header = _header(archive, name)
    spatial = of.shape[: 1 + dims]
    if header.dtype.name not in ("uint8", "bool") or header.shape[: 1 + dims] != spatial:
        raise UnreadableError(
            f"{name} is {header.dtype.name} {list(header.shape)} "
            f"(needs uint8 or bool {list(spatial)})"
        )
    stream = _after_header(stack, archive, name)

    def each() -> Iterator[NDArray[np.uint8]]:
        for index in range(header.shape[0]):
            raw = stream.read(header.row_bytes)
            if len(raw) < header.row_bytes:
                raise UnreadableError(f"{name} ends after {index} of {header.shape[0]} masks")
            rows = np.frombuffer(raw, np.uint8).reshape(*header.shape[1 : 1 + dims], -1)
            yield np.ascontiguousarray(np.moveaxis(rows, -1, 0))

    return each()


def _value_range(archive: zipfile.ZipFile) -> ValueRange | None:
    stated = _column(archive, "value_range")
    if stated is None:
        return None
    if stated.shape != (2,) or stated.dtype.kind not in "iuf" or not stated[0] < stated[1]:
        raise UnreadableError("value_range is not a lower and a higher number")
    return float(stated[0]), float(stated[1])


def _after_header(stack: contextlib.ExitStack, archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    stream = stack.enter_context(archive.open(f"{name}.npy"))
    _read_header(stream)
    return stream


def _header(archive: zipfile.ZipFile, name: str) -> _Header:
    with archive.open(f"{name}.npy") as stream:
        return _read_header(stream)


def _read_header(stream: IO[bytes]) -> _Header:
    try:
        version = np.lib.format.read_magic(stream)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, fortran, dtype = read(stream)
    except (ValueError, KeyError) as error:
        raise UnreadableError("not a numpy array") from error
    if fortran and len(shape) > 1:
        raise UnreadableError("an array in Fortran order (needs C order)")
    return _Header(shape=shape, dtype=dtype)


def _pixel_header(archive: zipfile.ZipFile, array: str, dims: int) -> _Header:
    header = _header(archive, array)
    shape, name = header.shape, header.dtype.name
    if name not in _KEPT_AS:
        raise UnreadableError(f"{name} pixels (needs {', '.join(_KEPT_AS)})")
    if dims == 2 and not (len(shape) == 3 or (len(shape) == 4 and shape[3] in (1, 3, 4))):
        raise UnreadableError(f"shape {list(shape)} (needs [N, H, W] or [N, H, W, 3])")
    if dims == 3 and len(shape) not in (4, 5):
        raise UnreadableError(f"shape {list(shape)} (needs [N, D, H, W] or [N, D, H, W, C])")
    if 0 in shape:
        raise UnreadableError(f"shape {list(shape)}: nothing in it")
    if shape[0] > archive.getinfo(f"{array}.npy").file_size:
        raise UnreadableError(f"shape {list(shape)}: more images than bytes")
    return header


def _column(archive: zipfile.ZipFile, name: str) -> NDArray[Any] | None:
    """A small array, read whole; None where there is none of that name."""
    if f"{name}.npy" not in archive.namelist():
        return None
    with archive.open(f"{name}.npy") as stream:
        try:
            return np.lib.format.read_array(stream, allow_pickle=False)
        except ValueError as error:
            raise UnreadableError(f"{name} cannot be read: {error}") from error


def write_example(root: Path, clips: Mapping[str, Pixels]) -> None:
    root.mkdir(parents=True, exist_ok=True)
    subjects = np.concatenate([[name] * len(pixels) for name, pixels in clips.items()])
    images = np.concatenate(list(clips.values()))
    np.savez_compressed(root / "images.npz", images=images, subjects=subjects)
