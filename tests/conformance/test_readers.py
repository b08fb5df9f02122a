"""What every reader of the table promises, on an example that it writes itself."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import zoom

from bench.data.folder_scan import scan
from bench.data.opening import open_data
from bench.data.readers import TABLE, choose, load
from bench.data.readers.reader import Mode, Reader, Source, UnreadableError
from bench.data.reading import Reading
from bench.data.simulate_echo import SimulationSize
from bench.errors import BenchError

READERS = sorted(TABLE)
VOLUMES = {"brats": 4, "nifti": 1}  # channels; a clip is one volume, its values normalised
FRAMES, SIZE = 7, (48, 64)


def _clips() -> dict[str, NDArray[np.uint8]]:
    """Smooth moving pictures, which JPEG hardly changes: patient -> uint8 [T, H, W]."""
    clips = {}
    for index in range(4):
        rng = np.random.default_rng(index)
        coarse = rng.uniform(20, 235, (FRAMES, 4, 4))
        clips[f"patient_{index + 1}"] = zoom(coarse, (1, SIZE[0] / 4, SIZE[1] / 4), order=1).astype(
            np.uint8
        )
    return clips


@pytest.fixture(params=READERS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def root(name: str, tmp_path: Path) -> Path:
    load(name).write_example(tmp_path / "data", _clips())
    return tmp_path / "data"


def _no_warning(text: str) -> None:
    raise AssertionError(f"warned of a whole file: {text}")


def _pixels(
    reader: Reader, source: Source, every: int = 1, mode: Mode = "L"
) -> list[NDArray[np.uint8]]:
    frames = reader.frames(source, every=every, mode=mode, warn=_no_warning)
    return [frame.pixels for frame in frames]


def test_is_detected_from_its_layout(name: str, root: Path) -> None:
    chosen, reader, notes = choose(scan(root), prefer="echonet")
    assert chosen == name
    assert reader is load(name)
    assert reader.LOOKS_FOR
    assert notes == ()


def test_matches_nothing_in_an_empty_folder(name: str, tmp_path: Path) -> None:
    assert not load(name).matches(scan(tmp_path))
    (tmp_path / "notes.txt").write_text("no data")
    assert not load(name).matches(scan(tmp_path))


def test_lists_the_same_relative_keys_every_time(name: str, root: Path) -> None:
    first, second = (load(name).list_sources(scan(root)).sources for _ in range(2))
    keys = [source.key for source in first]
    assert first == second
    assert keys == sorted(set(keys))
    assert all(not key.startswith("/") and str(root) not in key for key in keys)


def test_streams_the_pixels_that_were_written(name: str, root: Path) -> None:
    reader = load(name)
    grey, colour = [], []
    for source in reader.list_sources(scan(root)).sources:
        frames = reader.frames(source, every=1, mode="L", warn=_no_warning)
        assert inspect.isgenerator(frames), "frames must stream"
        grey += [frame.pixels for frame in frames]
        colour += _pixels(reader, source, mode="RGB")
    if name in VOLUMES:
        _check_volumes(grey, colour, VOLUMES[name])
        return
    written = np.concatenate(list(_clips().values()))
    assert all(f.dtype == np.uint8 and f.shape == SIZE for f in grey)
    assert all(f.dtype == np.uint8 and f.shape == (*SIZE, 3) for f in colour)
    # 2 grey levels: MJPEG at quantiser 3 on smooth pictures; exact for the lossless layouts.
    assert np.abs(np.stack(grey).astype(float) - written).mean() < 2
    assert np.abs(np.stack(colour).astype(float) - written[..., None]).mean() < 2


def _check_volumes(grey: list[NDArray[Any]], colour: list[NDArray[Any]], channels: int) -> None:
    for found, again, clip in zip(grey, colour, _clips().values(), strict=True):
        assert np.array_equal(found, again), "volumes have channels of their own, whatever the mode"
        assert found.dtype == np.float32
        assert found.shape == (*clip.shape, channels)
        assert found.min() >= -1
        assert found.max() <= 1
        for channel in np.moveaxis(found, -1, 0):
            # normalising is linear: float32, and values beyond 4 standard deviations there are none
            assert np.corrcoef(channel.ravel(), clip.ravel())[0, 1] > 1 - 1e-6


def test_every_thins_moving_pictures_only(name: str, root: Path) -> None:
    reader = load(name)
    for source in reader.list_sources(scan(root)).sources:
        whole, some = (np.stack(_pixels(reader, source, every=every)) for every in (1, 3))
        thinned = name in ("echonet", "videos")
        assert np.array_equal(some, whole[::3] if thinned else whole)


@pytest.mark.parametrize("content", [b"", b"not what the name says" * 50])
def test_broken_files_are_unreadable_with_a_reason(name: str, root: Path, content: bytes) -> None:
    reader = load(name)
    for source in reader.list_sources(scan(root)).sources:
        source.path.write_bytes(content)
        with pytest.raises(UnreadableError) as error:
            list(reader.frames(source, every=1, mode="L", warn=_no_warning))
        assert str(error.value)
        assert str(source.path) not in str(error.value)


def test_becomes_a_cache_of_all_frames_by_subject(name: str, root: Path, tmp_path: Path) -> None:
    size = (8, 16, 16) if name in VOLUMES else (16, 16)
    cached = open_data(
        root, Reading(size=size, every=1), workload_reader="echonet", home=tmp_path,
        simulated=SimulationSize(),
    )  # fmt: skip
    count = 4 if name in VOLUMES else 4 * FRAMES
    assert cached.images.shape == (count, VOLUMES.get(name, 1), *size)
    # of photographs, each is a subject of its own
    subjects = 4 * FRAMES if name == "cub" else 4
    assert len(np.unique(cached.subject)) == subjects
    owners = [set(cached.subject[indices].tolist()) for indices in cached.parts.values()]
    assert all(owners)
    assert sum(map(len, owners)) == len(set.union(*owners)) == subjects


def test_nothing_but_broken_files_is_one_line(name: str, root: Path, tmp_path: Path) -> None:
    for source in load(name).list_sources(scan(root)).sources:
        source.path.write_bytes(b"broken")
    size = (8, 16, 16) if name in VOLUMES else (16, 16)
    with pytest.raises(BenchError) as error:
        open_data(root, Reading(size=size), workload_reader=name, home=tmp_path,
                  simulated=SimulationSize())  # fmt: skip
    assert "\n" not in str(error.value)
    assert not [p for p in (tmp_path / "cache").iterdir() if p.is_dir()], "something was left"
