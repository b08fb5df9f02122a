"""The bundled real sets, where BENCH_REALDATA points at them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench.data.cache import CachedImages
from bench.data.opening import open_data
from bench.data.readers import videos
from bench.data.simulate_echo import SimulationSize
from bench.data.subjects import guess

REAL = Path(os.environ.get("BENCH_REALDATA", "/nonexistent"))
pytestmark = pytest.mark.skipif(not REAL.is_dir(), reason="BENCH_REALDATA names no folder")


def _open(name: str, home: Path) -> CachedImages:
    return open_data(
        REAL / name, workload_reader="echonet", resolution=32, home=home, every=5,
        simulated=SimulationSize(),
    )  # fmt: skip


def test_ultrasound_clips_have_their_known_subjects() -> None:
    keys = [source.key for source in videos.list_sources(REAL / "ultrasound_clips").sources]
    subjects = {key: guess(key) for key in keys}
    assert len(set(subjects.values())) <= 19
    owned = [key for key in keys if "_pat" in key]
    assert len(owned) == 18
    assert {subjects[key] for key in owned} == {f"person {i}" for i in (1, 2, 3, 4)}


@pytest.mark.slow
def test_ultrasound_clips_are_read_whole(tmp_path: Path) -> None:
    cached = _open("ultrasound_clips", tmp_path)
    assert cached.images.shape[1:] == (1, 32, 32)
    assert cached.meta["skipped"] == cached.meta["read_in_part"] == 0
    assert sum(cached.subjects.values()) <= 19
    share = len(cached.parts["train"]) / len(cached.images)
    assert share == pytest.approx(0.6, abs=0.05)  # 15 subjects of uneven size


def test_medmnist_keeps_its_parts(tmp_path: Path) -> None:
    cached = _open("pneumoniamnist.npz", tmp_path)
    assert {p: len(i) for p, i in cached.parts.items()} == {
        "train": 3882, "select": 524, "report": 624,
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("name", "channels"), [("chest_xray_png", 1), ("boxed_photos", 3)])
def test_images_are_grey_or_colour(tmp_path: Path, name: str, channels: int) -> None:
    assert _open(name, tmp_path).images.shape[1] == channels
