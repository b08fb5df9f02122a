"""`opened`: open_data on a small folder, into a home of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bench.data.cache import CachedImages
from bench.data.opening import open_data
from bench.data.reading import Reading
from bench.data.simulate_echo import SimulationSize

Open = Callable[..., CachedImages]


@pytest.fixture
def opened(tmp_path: Path) -> Open:
    """opened(path, field=value...): the fields are those of Reading, and open_data's own."""

    def call(path: Path | None, **fields: Any) -> CachedImages:
        progress = fields.pop("progress", None)
        official_parts = fields.pop("official_parts", False)
        return open_data(
            path,
            Reading(**{"size": (16, 16), "every": 1, **fields}),
            workload_reader="echonet",
            home=tmp_path / "home",
            simulated=SimulationSize(),
            progress=progress,
            official_parts=official_parts,
        )

    return call


def write_images(root: Path, pictures: dict[str, np.ndarray]) -> Path:
    """One file a picture: uint8 or uint16 [H, W], uint8 [H, W, 3], float32 [H, W] as .tiff."""
    for name, pixels in pictures.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(root / name)
    return root


def grey_pictures(
    count: int, side: int = 16, ending: str = ".png", seed: int = 0
) -> dict[str, np.ndarray]:
    """`count` uint8 pictures of noise, called a0.png, b1.png..."""
    rng = np.random.default_rng(seed)
    names = [f"{chr(97 + i % 26)}x{i}{ending}" for i in range(count)]
    return {name: rng.integers(0, 256, (side, side), np.uint8) for name in names}
