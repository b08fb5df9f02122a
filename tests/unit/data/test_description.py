"""The description is JSON and the thumbnails show each part's subjects."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.data.cache import CachedImages
from bench.data.description import describe, thumbnails
from bench.data.opening import open_data
from bench.data.reading import Reading
from bench.data.simulate_echo import SimulationSize
from bench.errors import BenchError


@pytest.fixture
def cached(tmp_path: Path) -> CachedImages:
    images = np.repeat(np.arange(10, 250, 8, dtype=np.uint8), 256).reshape(30, 16, 16)
    subjects = np.repeat(np.arange(10), 3)
    np.savez(tmp_path / "set.npz", images=images, subjects=subjects)
    return open_data(
        tmp_path / "set.npz", Reading(size=(16, 16)), workload_reader="echonet", home=tmp_path,
        simulated=SimulationSize(),
    )  # fmt: skip


def test_description_is_json_with_what_was_read(cached: CachedImages) -> None:
    told = json.loads(json.dumps(describe(cached)))
    assert told["shape"] == [30, 1, 16, 16]
    assert told["subjects"] == {"train": 6, "select": 2, "report": 2}
    assert told["frames"] == {"train": 18, "select": 6, "report": 6}
    assert told["frames_per_subject"]["train"] == {"min": 3, "median": 3.0, "max": 3}
    assert told["sigma_data"] == cached.sigma_data
    assert told["source_size"]["max"] == [16, 16]


def test_thumbnails_show_every_part(cached: CachedImages, tmp_path: Path) -> None:
    thumbnails(cached, tmp_path / "t.png", columns=4, rows=2)
    picture = np.asarray(Image.open(tmp_path / "t.png"))
    assert picture.shape == (3 * 2 * 18 + 2 * 8, 4 * 18)
    bands = [picture[i * 44 : i * 44 + 36] for i in range(3)]
    for band, indices in zip(bands, cached.parts.values(), strict=True):
        shown = set(np.unique(band)) - {0}
        allowed = {int(cached.images[i].max()) for i in indices}
        assert shown <= allowed
        assert len(shown) == min(8, len(indices))


def test_a_place_that_cannot_be_written_is_an_error(cached: CachedImages, tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="cannot write"):
        thumbnails(cached, tmp_path / "no" / "t.png")


def test_classes_and_values_are_described_for_local_eyes(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 4096, (9, 16, 16)).astype(np.uint16)
    labels = np.array(["oedema", "well", "well"] * 3)
    np.savez(tmp_path / "set.npz", images=images, labels=labels, subjects=np.arange(9))
    cached = open_data(
        tmp_path / "set.npz", Reading(size=(16, 16)), workload_reader="echonet", home=tmp_path,
        simulated=SimulationSize(),
    )  # fmt: skip
    body = describe(cached)
    counts = cached.label_counts()["train"]
    assert body["labels"]["train"] == f"{counts[0]} of class oedema, {counts[1]} of class well"
    assert body["range"] == "uint16 0..4095 becomes -1..1"
    assert "oedema" not in json.dumps(cached.record())


@pytest.mark.parametrize("kind", ["uint16", "float32"])
def test_thumbnails_of_deep_volumes_are_their_middle_slices(tmp_path: Path, kind: str) -> None:
    """Slice z of volume n has the value 100 z + n of 0..1000: 8 bits of it are seen."""
    values = 100 * np.arange(6)[None, :, None, None] + np.arange(5)[:, None, None, None]
    volumes = np.broadcast_to(values, (5, 6, 8, 8)).astype(kind)
    np.savez(
        tmp_path / "v.npz", volumes=volumes, subjects=np.arange(5), value_range=np.array([0, 1000])
    )
    cached = open_data(
        tmp_path / "v.npz", Reading(size=(6, 8, 8)), workload_reader="echonet", home=tmp_path,
        simulated=SimulationSize(),
    )  # fmt: skip
    thumbnails(cached, tmp_path / "t.png", columns=3, rows=1)
    picture = np.asarray(Image.open(tmp_path / "t.png"))
    first = cached.images[cached.parts["train"][0], 0, 3, 0, 0]
    assert (picture[:8, :8] == round(float(first) / 1000 * 255)).all()
    assert 300 <= first < 305
