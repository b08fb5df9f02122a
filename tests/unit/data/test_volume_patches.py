"""Patches: the voxels are the volume's, and what they touch is counted right."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from bench.data.cache import CachedImages
from bench.data.description import describe
from bench.data.volume_patches import PAGE_BYTES, cut_patch, patch_bytes
from bench.errors import BenchError
from tests.unit.data.conftest import Open

SHAPE = (6, 20, 24)


@pytest.fixture
def cached(opened: Open, tmp_path: Path) -> CachedImages:
    rng = np.random.default_rng(0)
    np.savez(
        tmp_path / "v.npz",
        volumes=rng.integers(0, 4000, (5, *SHAPE, 2)).astype(np.uint16),
        masks=rng.integers(0, 3, (5, *SHAPE), np.uint8),
    )
    return opened(tmp_path / "v.npz", size=SHAPE, fit="centre")


def test_a_patch_is_that_part_of_its_volume(cached: CachedImages) -> None:
    patch = cut_patch(cached, 3, (1, 5, 7), (2, 8, 11))
    assert np.array_equal(patch.image, cached.images[3, :, 1:3, 5:13, 7:18])
    assert cached.masks is not None
    assert patch.masks is not None
    assert np.array_equal(patch.masks, cached.masks[3, :, 1:3, 5:13, 7:18])
    assert not isinstance(patch.image, np.memmap)
    whole = cut_patch(cached, 0, (0, 0, 0), SHAPE)
    assert np.array_equal(whole.image, cached.images[0])


def _counted(array: np.ndarray, row: int, part: tuple[slice, ...]) -> tuple[int, int, int]:
    """(bytes, runs, bytes of pages), by marking every byte of the patch in the file."""
    touched = np.zeros((*array.shape, array.dtype.itemsize), bool)
    touched[(row, slice(None), *part)] = True
    flat = touched.ravel()
    runs = int(flat[0]) + int(np.count_nonzero(flat[1:] & ~flat[:-1]))
    pages = len(np.unique(np.flatnonzero(flat) // PAGE_BYTES))
    return int(flat.sum()), runs, pages * PAGE_BYTES


@pytest.mark.parametrize(
    ("start", "size"),
    [
        ((0, 0, 0), SHAPE),
        ((1, 5, 7), (2, 8, 11)),
        ((0, 3, 0), (6, 4, 24)),
        ((2, 0, 0), (3, 20, 24)),
        ((5, 19, 23), (1, 1, 1)),
        ((0, 0, 3), (6, 20, 21)),
    ],
)
def test_bytes_runs_and_pages_are_those_in_the_file(
    cached: CachedImages, start: tuple[int, ...], size: tuple[int, ...]
) -> None:
    part = tuple(slice(at, at + side) for at, side in zip(start, size, strict=True))
    assert cached.masks is not None
    for row in (0, 3):
        read = patch_bytes(cached, row, start, size)
        each = [_counted(array, row, part) for array in (cached.images, cached.masks)]
        assert (read.needed, read.runs, read.paged) == tuple(map(sum, zip(*each, strict=True)))
    assert read.volume == int(np.prod(SHAPE)) * (2 * 2 + 1)


@pytest.mark.parametrize(
    ("start", "size", "said"),
    [
        ((0, 0, 0), (7, 20, 24), "a patch of 7x20x24 does not fit into volumes of 6x20x24"),
        ((0, 0, 0), (6, 20, 0), "does not fit"),
        ((1, 0, 0), (6, 20, 24), "at 1, 0, 0 reaches beyond volumes of 6x20x24"),
        ((-1, 0, 0), (2, 2, 2), "reaches beyond"),
        ((0, 0), (2, 2), "give 3 sides"),
    ],
)
def test_a_patch_that_does_not_fit_is_refused(
    cached: CachedImages, start: tuple[int, ...], size: tuple[int, ...], said: str
) -> None:
    for call in (cut_patch, patch_bytes):
        with pytest.raises(BenchError, match=said):
            call(cached, 0, start, size)


def test_patches_tile_a_volume(cached: CachedImages) -> None:
    size = (3, 10, 12)
    again = np.zeros_like(cached.images[1])
    steps = (range(0, whole, side) for whole, side in zip(SHAPE, size, strict=True))
    for start in itertools.product(*steps):
        part = tuple(slice(at, at + side) for at, side in zip(start, size, strict=True))
        again[(slice(None), *part)] = cut_patch(cached, 1, start, size).image
    assert np.array_equal(again, cached.images[1])


def test_bench_data_says_what_a_patch_reads(cached: CachedImages) -> None:
    said = describe(cached)
    # 3x10x12 voxels of 2 channels of 2 bytes and a mask; a run is a row
    assert said["patch"].startswith("3x10x12 of a volume reads 1,800 of 14,400 bytes, in 90 runs")
    assert said["mask_classes"] == "1 class 1, 2 class 2"
    assert "spacing_mm" not in said
