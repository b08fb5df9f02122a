"""Tiny trials: a cache of smooth random pictures and configurations that train in a second."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter

from backbones.inputs import Inputs
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
from bench.data.cache_index import CacheIndex, write_index
from bench.run import Report

SIDE = 8
INPUTS = Inputs(spatial=(SIDE, SIDE), channels=1, out_channels=1)
NETS: dict[str, dict[str, Any]] = {
    "adm": {"width": 8, "multipliers": (1, 2), "blocks": 1, "attention": (4,)}
    | {"channels_per_head": 8},
    "ddpmpp": {"width": 8, "multipliers": (1, 2), "blocks": 1, "attention": (4,)},
    "ncsnpp": {"width": 8, "multipliers": (1, 2), "blocks": 1, "attention": (4,)},
    "small_unet": {"widths": (8, 16), "blocks": 1, "attention": (4,), "channels_per_head": 8},
}


def write_cache(
    folder: Path, *, side: int = SIDE, per_part: int = 24, seed: int = 0, classes: int = 0
) -> Path:
    """A cache as bench.data builds it: grey blurred noise, 3 parts of 4 subjects each.

    With `classes`, each picture has one at random; those of a class are not alike.
    """
    rng = np.random.default_rng(seed)
    n = 3 * per_part
    smooth = gaussian_filter(rng.standard_normal((n, 1, side, side)), (0, 0, 1, 1), mode="wrap")
    images = np.clip(128 + 120 * smooth / smooth.std() / 2, 0, 255).astype(np.uint8)
    part = np.repeat(np.arange(3, dtype=np.uint8), per_part)
    subject = (part * 4 + np.tile(np.arange(4), n // 4)).astype(np.int32)
    folder.mkdir(parents=True)
    (folder / cache.IMAGES).write_bytes(images.tobytes())
    columns: dict[str, Any] = {"subject": subject, "part": part}
    if classes:
        columns["label"] = rng.integers(0, classes, n).astype(np.int64)
    np.savez(folder / cache.FRAMES, **columns)
    index = CacheIndex(
        digest=f"fake{seed}",
        shape=images.shape,
        dtype="uint8",
        value_range=(0.0, 255.0),
        sigma_data=float((images[part == 0] / 127.5 - 1).std()),
        name="fake",
        simulated=True,
        label_names=tuple(f"class {k}" for k in range(classes)),
    )
    write_index(folder / cache.INDEX, index)
    return folder


def tiny(folder: Path | str = "", **changes: Any) -> TrialConfig:
    """64 images of training in three rungs on the cache in `folder`; "train.lr"=... changes it.

    A key without a dot changes a field of the trial itself.
    """
    config = TrialConfig(
        workload="echo",
        scale="test",
        seed=3,
        data=DataConfig(name="fake", digest="fake0", simulated=True, cache=str(folder)),
        task=TaskConfig(kind="generate", inputs=INPUTS, sigma_data=0.45),
        method=MethodConfig(
            backbone="ddpmpp",
            backbone_args={**NETS["ddpmpp"], "dropout": 0.1},
            preconditioning="edm",
        ),
        train=TrainConfig(
            budget_nimg=64,
            rungs_nimg=(16, 32, 64),
            report_nimg=8,
            batch_size=8,
            micro_batch=8,
            optimizer="adam",
            lr=2e-3,
            ema_short_nimg=16,
            snapshots=1,
        ),
        sample=SampleConfig(steps=2, batch_size=16),
        measure=MeasureConfig(
            metrics=("fd", "denoise_error", "clipping"),
            n_select=10,
            n_report=12,
            args={"n_reference": 16, "n_denoise": 4, "denoise_sigmas": (0.1, 1.0)},
        ),
    )
    sections: dict[str, dict[str, Any]] = {}
    for key, value in changes.items():
        section, _, name = key.rpartition(".")
        sections.setdefault(section, {})[name] = value
    trial_fields = sections.pop("", {})
    parts = {s: dataclasses.replace(getattr(config, s), **v) for s, v in sections.items()}
    return dataclasses.replace(config, **trial_fields, **parts)


def net_of(name: str, **args: Any) -> MethodConfig:
    """A tiny network of an architecture, as a trial's method."""
    return MethodConfig(backbone=name, backbone_args={**NETS[name], **args}, preconditioning="edm")


def timeless(report: Report) -> dict[str, Any]:
    """A report without what the clock and the memory gauge say."""
    body = dataclasses.asdict(report)
    del body["seconds"]
    body["metrics"] = {k: v for k, v in body["metrics"].items() if not k.startswith("throughput/")}
    return body
