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
from bench.data.simulate_echo import SimulationSize
from bench.errors import BenchError


@pytest.fixture
def cached(tmp_path: Path) -> CachedImages:
    images = np.repeat(np.arange(10, 250, 8, dtype=np.uint8), 256).reshape(30, 16, 16)
    subjects = np.repeat(np.arange(10), 3)
    np.savez(tmp_path / "set.npz", images=images, subjects=subjects)
    return open_data(
        tmp_path / "set.npz", workload_reader="echonet", resolution=16, home=tmp_path,
        simulated=SimulationSize(),
    )  # fmt: skip


def test_description_is_json_with_what_was_read(cached: CachedImages) -> None:
    told = json.loads(json.dumps(describe(cached)))
    assert told["shape"] == [30, 1, 16, 16]
    assert told["subjects"] == {"train": 6, "select": 2, "report": 2}
    assert told["frames"] == {"train": 18, "select": 6, "report": 6}
    assert told["frames_per_subject"]["train"] == {"min": 3, "median": 3.0, "max": 3}
    assert told["sigma_data"] == cached.sigma_data
    assert told["source_height_width"]["max"] == [16, 16]


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
