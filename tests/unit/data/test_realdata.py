"""The bundled real sets, where BENCH_REALDATA points at them."""

from __future__ import annotations

import os
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from bench.data.cache import CachedImages
from bench.data.folder_scan import scan
from bench.data.opening import open_data
from bench.data.readers import videos
from bench.data.reading import Reading
from bench.data.simulate_echo import SimulationSize
from bench.data.subjects import guess
from bench.errors import BenchError

REAL = Path(os.environ.get("BENCH_REALDATA", "/nonexistent"))
pytestmark = pytest.mark.skipif(not REAL.is_dir(), reason="BENCH_REALDATA names no folder")


def _open(name: str, home: Path) -> CachedImages:
    return open_data(
        REAL / name, Reading(size=(32, 32)), workload_reader="echonet", home=home,
        simulated=SimulationSize(),
    )  # fmt: skip


def test_ultrasound_clips_have_their_known_subjects() -> None:
    keys = [source.key for source in videos.list_sources(scan(REAL / "ultrasound_clips")).sources]
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


def test_hippocampus_is_read_with_its_labels_and_spacing(tmp_path: Path) -> None:
    """100 crops of 32x40x26 to 43x56x45 voxels, labels 0 to 2."""
    with pytest.raises(BenchError, match=r"they are 32x40x26 to 43x56x45.*--size 48x56x48"):
        _open("hippocampus", tmp_path)
    cached = open_data(
        REAL / "hippocampus", Reading(size=(48, 56, 48), fit="centre"), workload_reader="echonet",
        home=tmp_path, simulated=None,
    )  # fmt: skip
    assert cached.images.shape == (100, 1, 48, 56, 48)
    assert cached.value_range == (-1, 1)
    assert cached.masks is not None
    assert cached.mask_names == ("class 1", "class 2")
    assert cached.spacing is not None
    assert (cached.spacing == 1).all()
    assert cached.meta["skipped"] == 0
    assert not any("outside the cut" in note for note in cached.notes)
    # every label of the files is there
    path = REAL / "hippocampus" / "labels" / "hippocampus_001.nii.gz"
    stored = np.asanyarray(nibabel.load(path).dataobj)
    counts = np.bincount(np.asarray(cached.masks[0]).ravel())
    assert counts[1:].tolist() == np.bincount(stored.ravel())[1:].tolist()


@pytest.mark.slow
def test_chest_xrays_at_twelve_bits_equal_those_at_eight(tmp_path: Path) -> None:
    """The same x-rays as 12-bit PNGs: within a level of 255 of the 8-bit ones."""
    for path in sorted((REAL / "chest_xray_png").rglob("*.png"))[:8]:
        pixels = np.asarray(Image.open(path).convert("L"))
        for name, deep in (("bytes", pixels), ("deep", pixels.astype(np.uint16) * 16)):
            (tmp_path / name).mkdir(exist_ok=True)
            Image.fromarray(deep).save(tmp_path / name / path.name)
    plain, deep = (_open(str(tmp_path / name), tmp_path / "home") for name in ("bytes", "deep"))
    assert deep.value_range == (0, 4095)
    # Bytes are cut to 0..255 between the two axes too, which shows beside white letters.
    assert (np.abs(deep.images / 16 - plain.images) > 1).mean() < 0.005
    # 4080 of 4095: the brightest byte, shifted, is a little below the range's end
    assert deep.sigma_data == pytest.approx(plain.sigma_data * 4080 / 4095, rel=0.01)


def test_boxed_photos_are_cut_to_their_objects(tmp_path: Path) -> None:
    """200 photographs with 217 annotated objects, 16 of them with several, none beyond its rim."""
    cached = _open("boxed_photos", tmp_path)
    assert cached.images.shape == (217, 3, 32, 32)
    assert cached.label_names == ("raccoon",)
    assert cached.masks is not None
    assert cached.masks.any(axis=(1, 2, 3)).all()
    # the box is in the middle of its cut, whatever the photograph
    share = np.asarray(cached.masks).mean(axis=(0, 1))
    assert share[12:20, 12:20].min() > 0.9
    assert share[:2].mean() < 0.5
    notes = "\n".join(cached.notes)
    assert "16 pictures have several objects" in notes
    assert "skipped" not in notes
    assert "beyond their picture" not in notes
