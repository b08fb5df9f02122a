"""Small data and a small trial to try a metric, a task or a method on, before it is used.

Smooth drawn pictures in the form of real data: every picture has a class, a mask and a number, and
the parts have subjects of their own, so that whatever a part of bench asks of data is there.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.config import (
    DataConfig,
    MeasureConfig,
    MethodConfig,
    SampleConfig,
    TaskConfig,
    TrainConfig,
    TrialConfig,
)
from bench.data import cache
from bench.data.cache import CachedImages, load_cache
from bench.data.cache_index import CacheIndex, write_index
from bench.data.value_range import BYTE_RANGE, as_float
from bench.streams import stream

PER_PART = 20
CLASSES = 2
SUBJECTS = 4  # of a part


def write_practice_data(folder: Path, spatial: tuple[int, ...]) -> CachedImages:
    """Writes the cache into the new folder `folder` and opens it; equal sides, equal data."""
    count = 3 * PER_PART
    axes = np.meshgrid(*(np.linspace(-1, 1, side) for side in spatial), indexing="ij")
    images = np.empty((count, 1, *spatial), np.uint8)
    for picture in range(count):
        draw = stream(0, "practice picture", picture)
        waves = sum(np.cos(draw.uniform(1, 3) * axis + draw.uniform(0, 6)) for axis in axes)
        images[picture, 0] = np.rint(255 * (waves / len(axes) + 1) / 2)
    part = np.repeat(np.arange(3, dtype=np.uint8), PER_PART)
    number = np.arange(count)
    folder.mkdir(parents=True)
    (folder / cache.IMAGES).write_bytes(images.tobytes())
    (folder / cache.MASKS).write_bytes((images > 127).astype(np.uint8).tobytes())
    np.savez(
        folder / cache.FRAMES,
        subject=(part * SUBJECTS + number % SUBJECTS).astype(np.int32),
        part=part,
        label=(number % CLASSES).astype(np.int64),
        vector=np.linspace(0, 1, count, dtype=np.float32)[:, None],
    )
    index = CacheIndex(
        digest="practice",
        shape=images.shape,
        dtype="uint8",
        value_range=BYTE_RANGE,
        sigma_data=float(as_float(images[part == 0], BYTE_RANGE).std()),
        name="practice",
        simulated=True,
        label_names=tuple(f"class {k}" for k in range(CLASSES)),
        mask_count=1,
        vector_names=("number",),
    )
    write_index(folder / cache.INDEX, index)
    return load_cache(folder)


def practice_trial(task: TaskConfig, method: MethodConfig, data: str = "") -> TrialConfig:
    """A trial of one step, measured on a few cases by a metric that needs nothing; `data` is the
    folder of its cache."""
    return TrialConfig(
        workload="practice",
        scale="practice",
        seed=0,
        data=DataConfig(name="practice", digest="practice", simulated=True, cache=data),
        task=task,
        method=method,
        train=TrainConfig(
            budget_nimg=4,
            rungs_nimg=(4,),
            report_nimg=4,
            batch_size=4,
            micro_batch=4,
            optimizer="adam",
            lr=1e-3,
        ),
        sample=SampleConfig(steps=3, batch_size=4),
        measure=MeasureConfig(metrics=("clipping",), n_select=5, n_report=7),
    )
