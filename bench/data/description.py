"""What a cache holds, for a person: the tables and thumbnails of `bench data PATH`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.data.cache import CachedImages
from bench.data.folder_scan import printable
from bench.data.value_range import to_uint8
from bench.data.volume_patches import patch_bytes
from bench.errors import BenchError

_GAP = 2  # pixels between thumbnails
_PART_GAP = 8
_LEVELS = 3  # values that are counted one by one


def describe(cached: CachedImages) -> dict[str, Any]:
    """All there is to say about a cache, JSON-able; notes with file names, so for local eyes.

    Beside `CachedImages.record`: the folder, its size, and each part's frames a subject
    (min, median, max).
    """
    each = {}
    for part, indices in cached.parts.items():
        counts = np.unique(cached.subject[indices], return_counts=True)[1]
        each[part] = {
            "min": int(counts.min()),
            "median": float(np.median(counts)),
            "max": int(counts.max()),
        }
    low, high = cached.value_range
    body = {
        **cached.record(),
        "labels": {part: _named(cached, n) for part, n in cached.label_counts().items()},
        "settings": {k: v for k, v in cached.meta["settings"].items() if v not in (None, 0)},
        "vector": _vector_ranges(cached),
        "notes": list(cached.notes),
        "frames_per_subject": each,
        "cache": printable(str(cached.path)),
        "cache_mb": round(cached.images.nbytes / 1e6, 1),
        "range": f"{cached.images.dtype.name} {low:g}..{high:g} becomes -1..1",
    }
    del body["depth"], body["value_range"], body["mask_classes"]
    if cached.mask_names:
        names = (f"{number} {name}" for number, name in enumerate(cached.mask_names, start=1))
        body["mask_classes"] = ", ".join(names)
    if cached.spacing is not None:
        body["spacing_mm"] = _spacing(cached.spacing)
    if cached.images.ndim == 5:
        body["patch"] = _patch(cached)
    return body


def _spacing(spacing: NDArray[np.float32]) -> str:
    """'1x1x1.2', or the smallest and the largest where there are several."""
    known = spacing[np.isfinite(spacing).all(axis=1)]
    low, high = ("x".join(f"{s:.4g}" for s in f(known, axis=0)) for f in (np.min, np.max))
    return low if low == high else f"{low} to {high}"


def _patch(cached: CachedImages) -> str:
    """What a patch of half the volume's sides reads, from the middle."""
    sides = cached.images.shape[2:]
    size = [max(1, side // 2) for side in sides]
    start = [(side - part) // 2 for side, part in zip(sides, size, strict=True)]
    read = patch_bytes(cached, 0, start, size)
    return (
        f"{'x'.join(map(str, size))} of a volume reads {read.needed:,} of {read.volume:,} bytes, "
        f"in {read.runs:,} runs on pages of {read.paged:,}"
    )


def _named(cached: CachedImages, counts: list[int]) -> str:
    """'388 of class 0, 3494 of class 1, 2 of unknown class'."""
    texts = [f"{n} of class {name}" for name, n in zip(cached.label_names, counts, strict=False)]
    return ", ".join(texts + ([f"{counts[-1]} of unknown class"] if counts[-1] else []))


def _vector_ranges(cached: CachedImages) -> dict[str, dict[str, float]]:
    """Smallest, mean and largest of each named value, or how often each is there where they are a
    few whole numbers; and how many images lack it."""
    if cached.vector is None:
        return {}
    ranges: dict[str, dict[str, float]] = {}
    for name, column in zip(cached.vector_names, cached.vector.T, strict=True):
        known = column[np.isfinite(column)].astype(np.float64)
        ranges[name] = {"unknown": len(column) - len(known)}
        levels, counts = np.unique(known, return_counts=True)
        if len(known) > len(levels) <= _LEVELS and np.array_equal(levels, np.rint(levels)):
            ranges[name] |= {f"{level:g}:": int(n) for level, n in zip(levels, counts, strict=True)}
        elif len(known):
            values = {"min": known.min(), "mean": known.mean(), "max": known.max()}
            ranges[name] |= {key: float(value) for key, value in values.items()}
    return ranges


def thumbnails(cached: CachedImages, path_png: Path, *, columns: int = 12, rows: int = 2) -> None:
    """Writes one PNG of real frames: `rows` rows of each part, train, select, report downwards.

    Each row's frames come from as many subjects as there are, in the range that training sees; of
    a volume the middle slice is shown, seen from above with the front upwards where its axes are
    known (that is, its spacing). The picture shows the data itself: it is written where it is
    told to and nowhere else. BenchError when it cannot be.
    """
    bands = []
    for indices in cached.parts.values():
        chosen = _varied(cached, indices, columns * rows)
        tiles = np.stack([_tile(cached, index) for index in chosen])
        missing = columns * rows - len(tiles)
        tiles = np.pad(tiles, [(0, missing), *[(0, 0)] * (tiles.ndim - 1)])
        bands.append(_mosaic(tiles, columns))
        bands.append(np.full((_PART_GAP, *bands[0].shape[1:]), 255, np.uint8))
    try:
        Image.fromarray(np.concatenate(bands[:-1])).save(path_png)
    except OSError as error:
        raise BenchError(f"cannot write {path_png}: {error.strerror or error}") from error


def _varied(cached: CachedImages, indices: NDArray[np.int64], n: int) -> list[int]:
    """Up to n indices, round after round over evenly spaced subjects."""
    subjects = np.unique(cached.subject[indices])
    picked = subjects[np.linspace(0, len(subjects) - 1, min(n, len(subjects))).round().astype(int)]
    queues = [indices[cached.subject[indices] == subject] for subject in picked]
    rounds = -(-n // len(queues))
    chosen: list[int] = []
    for turn in range(rounds):
        for queue in queues:
            if turn < len(queue):
                # Multiples of the golden ratio: every frame once, soon spread over the recording.
                spread = np.argsort(np.arange(len(queue)) * 0.618034 % 1)
                chosen.append(int(queue[spread[turn]]))
    return chosen[:n]


def _tile(cached: CachedImages, index: int) -> NDArray[np.uint8]:
    """[H, W], or [H, W, 3] of three channels; of any other number of channels the first."""
    image = cached.images[index]
    if image.ndim == 4 and cached.spacing is not None:
        image = image[..., image.shape[3] // 2].transpose(0, 2, 1)[:, ::-1]
    elif image.ndim == 4:
        image = image[:, image.shape[1] // 2]
    tile = to_uint8(image, cached.value_range)
    return np.asarray(tile.transpose(1, 2, 0) if len(tile) == 3 else tile[0])


def _mosaic(tiles: NDArray[np.uint8], columns: int) -> NDArray[np.uint8]:
    width = [(0, 0)] * (tiles.ndim - 3)
    padded = [np.pad(tile, [(0, _GAP), (0, _GAP), *width]) for tile in tiles]
    lines = [
        np.concatenate(padded[start : start + columns], axis=1)
        for start in range(0, len(padded), columns)
    ]
    return np.concatenate(lines)
