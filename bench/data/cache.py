"""The decoded cache: one folder of memory-mapped images that all trials of a sweep share.

    images.bin    N·C·spatial values of one dtype, C order, frames of one source together
    frames.npz    subject int32 [N] (its place in subject_ids), part uint8 [N] (its place in PARTS);
                  label int64 [N] (-1 unknown), vector float32 [N, V] and spacing float32 [N, dims]
                  where there are some
    masks.bin     uint8 N·M·spatial, where every image has masks
    index.json    digest, dtype, range, shape, sigma_data, hashed subject ids, notes, settings

A cache is written to a folder beside its place and renamed into it, so it is whole or absent; of
two that build the same one, the second finds it there and drops its own. Everything in it stays
on local disk; `CachedImages.record` is what may leave (contract 12). Reading needs numpy only.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.cache_index import CacheIndex, read_index
from bench.data.value_range import ValueRange
from bench.errors import BenchError

IMAGES, MASKS, FRAMES, INDEX = "images.bin", "masks.bin", "frames.npz", "index.json"
_PART_NAMES = ("train", "select", "report")  # readers.reader.PARTS, without importing it
_STALE_SEC = 86_400


@dataclass(frozen=True, kw_only=True)
class CachedImages:
    """Decoded images with their subjects and parts; read-only and shared between processes.

    images: uint8, uint16 or float32 [N, C, *spatial], spatial [H, W] or [D, H, W].
    value_range: the pixel values that training sees as -1 and 1 (`value_range.as_float`); none lies
    outside. sigma_data: standard deviation of that over all pixels of the train part.
    parts: indices into images, ascending, one array for each of train, select, report.
    labels: int64 [N], places in label_names, -1 unknown. masks: uint8 [N, M, *spatial], classes of
    the pixels, called mask_names from class 1 on. vector: float32 [N, V], the values called
    vector_names, NaN unknown. spacing: float32 [N, dims], mm between voxels along each axis, NaN
    unknown; volumes with it have axes to the patient's right, front and top. None: no such.
    notes: all that is to be said, file names included: for the terminal and local files only.
    """

    path: Path
    images: np.memmap[Any, np.dtype[Any]]
    value_range: ValueRange
    subject: NDArray[np.int32]
    parts: Mapping[str, NDArray[np.int64]]
    digest: str
    sigma_data: float
    name: str
    simulated: bool
    subjects: Mapping[str, int]
    notes: tuple[str, ...]
    record_notes: tuple[str, ...]
    meta: Mapping[str, Any]
    labels: NDArray[np.int64] | None = None
    label_names: tuple[str, ...] = ()
    masks: np.memmap[Any, np.dtype[np.uint8]] | None = None
    vector: NDArray[np.float32] | None = None
    vector_names: tuple[str, ...] = ()
    subject_ids: tuple[str, ...] = ()  # hashed
    mask_names: tuple[str, ...] = ()
    spacing: NDArray[np.float32] | None = None

    def subject_id(self, row: int) -> str:
        """The hashed id of the subject of an image; where a cache has none, its number."""
        place = int(self.subject[row])
        return self.subject_ids[place] if self.subject_ids else str(place)

    def record(self) -> dict[str, Any]:
        """What records and trackers may carry: no file name, no path, no subject's or class's name.

        labels: for each part the images of each class in order, those of unknown class last.
        """
        return {
            "name": self.name,
            "digest": self.digest,
            "simulated": self.simulated,
            "shape": list(self.images.shape),
            "depth": self.images.dtype.name,
            "value_range": list(self.value_range),
            "frames": {part: len(indices) for part, indices in self.parts.items()},
            "subjects": dict(self.subjects),
            "labels": self.label_counts(),
            "masks": 0 if self.masks is None else self.masks.shape[1],
            "mask_classes": len(self.mask_names),
            "vector": list(self.vector_names),
            "sigma_data": self.sigma_data,
            "notes": list(self.record_notes),
            **self.meta,
        }

    def label_counts(self) -> dict[str, list[int]]:
        """Images of each class in order, then of unknown class, by part; {} without labels."""
        if self.labels is None:
            return {}
        classes = len(self.label_names)
        return {
            part: np.bincount(
                np.where(self.labels[where] < 0, classes, self.labels[where]), minlength=classes + 1
            ).tolist()
            for part, where in self.parts.items()
        }


def load_cache(path: Path) -> CachedImages:
    """Opens the cache folder `path`, as every trial does.

    Raises BenchError when it is missing, of another format or damaged.
    """
    try:
        for name in (INDEX, FRAMES, IMAGES):
            if (path / name).exists() and not (path / name).is_file():
                raise ValueError(f"{name} is no file")
        index = read_index(path / INDEX)
        with np.load(path / FRAMES, allow_pickle=False) as frames:
            columns = {name: frames[name] for name in frames.files}
        _check_columns(columns, index)
        images = _map(path / IMAGES, index.dtype, index.shape)
        masks = None
        if index.mask_count:
            count, _, *spatial = index.shape
            masks = _map(path / MASKS, "uint8", (count, index.mask_count, *spatial))
    except FileNotFoundError as error:
        raise BenchError(f"no image cache in {path} ({error.filename} is missing)") from error
    except Exception as error:  # damaged bytes raise anything, from zipfile, zlib, numpy and json
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BenchError(
            f"the image cache in {path} is damaged or of another version ({reason}); delete it"
        ) from error
    subject, part = columns["subject"], columns["part"]
    parts = {
        name: np.flatnonzero(part == code).astype(np.int64) for code, name in enumerate(_PART_NAMES)
    }
    return CachedImages(
        path=path,
        images=images,
        value_range=index.value_range,
        subject=subject,
        parts=parts,
        digest=index.digest,
        sigma_data=index.sigma_data,
        name=index.name,
        simulated=index.simulated,
        subjects={name: len(np.unique(subject[where])) for name, where in parts.items()},
        notes=index.notes,
        record_notes=index.record_notes,
        meta=index.meta,
        labels=columns.get("label"),
        label_names=index.label_names,
        masks=masks,
        vector=columns.get("vector"),
        vector_names=index.vector_names,
        subject_ids=index.subject_ids,
        mask_names=index.mask_names,
        spacing=columns.get("spacing"),
    )


def _map(path: Path, dtype: str, shape: tuple[int, ...]) -> np.memmap[Any, np.dtype[Any]]:
    expected, size = int(np.prod(shape)) * np.dtype(dtype).itemsize, path.stat().st_size
    if size != expected:
        raise ValueError(f"{path.name} has {size} bytes, not {expected}")
    return np.memmap(path, dtype, mode="r", shape=shape)


def _check_columns(columns: Mapping[str, NDArray[Any]], index: CacheIndex) -> None:
    count = index.shape[0]
    expected: dict[str, tuple[str, tuple[int, ...]]] = {
        "subject": ("int32", (count,)),
        "part": ("uint8", (count,)),
    }
    if index.label_names:
        expected["label"] = ("int64", (count,))
    if index.vector_names:
        expected["vector"] = ("float32", (count, len(index.vector_names)))
    if "spacing" in columns:
        expected["spacing"] = ("float32", (count, len(index.shape) - 2))
    actual = {name: (column.dtype.name, column.shape) for name, column in columns.items()}
    if actual != expected:
        raise ValueError(f"{FRAMES} holds {actual}, not {expected}")
    codes = np.unique(columns["part"])
    if codes.tolist() != list(range(len(_PART_NAMES))):
        raise ValueError(f"{FRAMES} holds the parts {codes.tolist()}")
    if index.label_names and not -1 <= columns["label"].min() <= columns["label"].max() < len(
        index.label_names
    ):
        raise ValueError(f"{FRAMES} holds classes that {INDEX} does not name")


@contextlib.contextmanager
def building(final: Path) -> Iterator[Path]:
    """A fresh folder that becomes `final` when the block ends well, and vanishes when it does not.

    Where another process has put `final` there in the meantime, that one stays. A full disk and
    a folder that cannot be written become BenchErrors.
    """
    draft = _beside(final)
    try:
        draft.mkdir(parents=True)
        _sweep_stale(final.parent)
        yield draft
        for file in draft.rglob("*"):
            if file.is_file():
                with file.open("rb") as stream:
                    os.fsync(stream.fileno())
        try:
            draft.rename(final)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY) or not final.is_dir():
                raise
    except OSError as error:
        raise _disk_error(error, final.parent) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def remove(path: Path) -> None:
    """Takes away what stands in a cache's place, in one step for all who look there."""
    aside = _beside(path)
    try:
        path.rename(aside)
        if aside.is_dir() and not aside.is_symlink():
            shutil.rmtree(aside)
        else:
            aside.unlink()
    except FileNotFoundError:
        return  # another process was faster
    except OSError as error:
        raise _disk_error(error, path.parent) from error


def _beside(final: Path) -> Path:
    return final.with_name(f".building-{final.name}-{os.getpid()}-{uuid.uuid4().hex[:8]}")


def _disk_error(error: OSError, folder: Path) -> BenchError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return BenchError(
            f"no space left for the image cache in {folder}; nothing was kept: free some space, "
            "or choose a lower resolution or fewer frames"
        )
    return BenchError(f"cannot write the image cache in {folder}: {error.strerror or error}")


def _sweep_stale(folder: Path) -> None:
    """Removes drafts that a killed process left a day or longer ago."""
    for draft in folder.glob(".building-*"):
        with contextlib.suppress(OSError):
            if time.time() - draft.stat().st_mtime > _STALE_SEC:
                shutil.rmtree(draft, ignore_errors=True)
