"""What a cache holds, for a person: the tables and thumbnails of `bench data PATH`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.data.cache import CachedImages
from bench.errors import BenchError

_GAP = 2  # pixels between thumbnails
_PART_GAP = 8


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
    return {
        **cached.record(),
        "notes": list(cached.notes),
        "frames_per_subject": each,
        "cache": str(cached.path),
        "cache_mb": round(cached.images.nbytes / 1e6, 1),
        "range": "x = uint8 / 127.5 - 1",
    }


def thumbnails(cached: CachedImages, path_png: Path, *, columns: int = 12, rows: int = 2) -> None:
    """Writes one PNG of real frames: `rows` rows of each part, train, select, report downwards.

    Each row's frames come from as many subjects as there are. The picture shows the data itself:
    it is written where it is told to and nowhere else. BenchError when it cannot be.
    """
    bands = []
    for indices in cached.parts.values():
        chosen = _varied(cached, indices, columns * rows)
        tiles = np.stack([_tile(cached.images[index]) for index in chosen])
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


def _tile(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """[C, H, W] -> [H, W] or [H, W, 3]."""
    return np.asarray(image[0] if image.shape[0] == 1 else image.transpose(1, 2, 0))


def _mosaic(tiles: NDArray[np.uint8], columns: int) -> NDArray[np.uint8]:
    width = [(0, 0)] * (tiles.ndim - 3)
    padded = [np.pad(tile, [(0, _GAP), (0, _GAP), *width]) for tile in tiles]
    lines = [
        np.concatenate(padded[start : start + columns], axis=1)
        for start in range(0, len(padded), columns)
    ]
    return np.concatenate(lines)
