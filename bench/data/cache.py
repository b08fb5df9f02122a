"""The decoded cache: one folder of memory-mapped uint8 images that all trials of a sweep share.

    images.u8     N·C·H·W bytes, C order, frames of one source together
    frames.npz    subject int32 [N] (its place in subject_ids), part uint8 [N] (its place in PARTS)
    index.json    digest, shape, sigma_data, hashed subject ids, notes and how it was read

A cache is written to a folder beside its place and renamed into it, so it is whole or absent; of
two that build the same one, the second finds it there and drops its own. Everything in it stays
on local disk; `CachedImages.record` is what may leave (contract 12). Reading needs numpy only.
"""

from __future__ import annotations

import contextlib
import errno
import json
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

from bench.errors import BenchError

FORMAT = 1
IMAGES, FRAMES, INDEX = "images.u8", "frames.npz", "index.json"
_PART_NAMES = ("train", "select", "report")  # readers.base.PARTS, without importing it
_STALE_SEC = 86_400


@dataclass(frozen=True, kw_only=True)
class CachedImages:
    """Decoded images with their subjects and parts; read-only and shared between processes.

    images: uint8 [N, C, H, W]; in training x = images / 127.5 - 1, range [-1, 1].
    sigma_data: standard deviation of x over all pixels and channels of the train part.
    parts: indices into images, ascending, one array for each of train, select, report.
    notes: all that is to be said, file names included: for the terminal and local files only.
    """

    path: Path
    images: np.memmap[Any, np.dtype[np.uint8]]
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

    def record(self) -> dict[str, Any]:
        """What records and trackers may carry: no file name, no path, no subject's own name."""
        return {
            "name": self.name,
            "digest": self.digest,
            "simulated": self.simulated,
            "shape": list(self.images.shape),
            "frames": {part: len(indices) for part, indices in self.parts.items()},
            "subjects": dict(self.subjects),
            "sigma_data": self.sigma_data,
            "notes": list(self.record_notes),
            **self.meta,
        }


def load_cache(path: Path) -> CachedImages:
    """Opens the cache folder `path`, as every trial does.

    Raises BenchError when it is missing, of another format or damaged.
    """
    try:
        index = json.loads((path / INDEX).read_text())
        with np.load(path / FRAMES, allow_pickle=False) as frames:
            subject, part = frames["subject"], frames["part"]
        shape = tuple(index["shape"])
        whole = (path / IMAGES).stat().st_size == int(np.prod(shape))
    except (OSError, ValueError, KeyError) as error:
        raise BenchError(f"no image cache in {path} ({error}); build it again") from error
    if index["format"] != FORMAT or not whole:
        raise BenchError(f"the image cache in {path} is damaged or of another version; delete it")
    parts = {
        name: np.flatnonzero(part == code).astype(np.int64) for code, name in enumerate(_PART_NAMES)
    }
    return CachedImages(
        path=path,
        images=np.memmap(path / IMAGES, np.uint8, mode="r", shape=shape),
        subject=subject,
        parts=parts,
        digest=index["digest"],
        sigma_data=index["sigma_data"],
        name=index["name"],
        simulated=index["simulated"],
        subjects={name: len(np.unique(subject[where])) for name, where in parts.items()},
        notes=tuple(index["notes"]),
        record_notes=tuple(index["record_notes"]),
        meta=index["meta"],
    )


@contextlib.contextmanager
def building(final: Path) -> Iterator[Path]:
    """A fresh folder that becomes `final` when the block ends well, and vanishes when it does not.

    Where another process has put `final` there in the meantime, that one stays. A full disk and
    a folder that cannot be written become BenchErrors.
    """
    draft = final.with_name(f".building-{final.name}-{os.getpid()}-{uuid.uuid4().hex[:8]}")
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


@dataclass(frozen=True, kw_only=True)
class PixelStatistics:
    """Exact mean and standard deviation of uint8 images, in the range [-1, 1]."""

    mean: tuple[float, ...]  # one a channel
    std: tuple[float, ...]
    sigma_data: float  # over all channels together


def pixel_statistics(
    images: NDArray[np.uint8], indices: NDArray[np.int64], batch: int = 1024
) -> PixelStatistics:
    """Statistics of images[indices] ([N, C, ...] uint8), streamed, from exact histograms."""
    channels = images.shape[1]
    counts = np.zeros((channels, 256), np.int64)
    for start in range(0, len(indices), batch):
        block = np.asarray(images[indices[start : start + batch]])
        for channel in range(channels):
            counts[channel] += np.bincount(block[:, channel].ravel(), minlength=256)
    values = np.arange(256, dtype=np.float64) / 127.5 - 1.0

    def moments(histogram: NDArray[np.int64]) -> tuple[float, float]:
        share = histogram / histogram.sum()
        mean = float(share @ values)
        return mean, float(np.sqrt(share @ (values - mean) ** 2))

    each = [moments(row) for row in counts]
    return PixelStatistics(
        mean=tuple(mean for mean, _ in each),
        std=tuple(std for _, std in each),
        sigma_data=moments(counts.sum(axis=0))[1],
    )
