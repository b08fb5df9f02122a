"""Where features are made: on the trial's device, exactly, and kept apart by its kind.

That a GPU's equal the CPU's is in tests/conformance/test_extractors.py, where there is a GPU.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.data.practice_data import write_practice_data
from bench.metrics import feature_metric, real
from bench.metrics.extractors import exact_products
from bench.metrics.frechet_metric import FrechetMetric
from bench.metrics.metric import Evidence
from bench.metrics.nearest_metric import NearestMetric
from bench.metrics.real import RealData
from bench.predictions import Predictions


def test_products_on_a_gpu_are_exact_and_the_trials_own_settings_come_back() -> None:
    matmul, conv = torch.backends.cuda.matmul, torch.backends.cudnn
    before = (matmul.allow_tf32, conv.allow_tf32, conv.deterministic, conv.benchmark)
    try:
        matmul.allow_tf32, conv.allow_tf32, conv.benchmark = True, True, True
        with exact_products("cuda:0"):
            assert (matmul.allow_tf32, conv.allow_tf32) == (False, False)
            assert (conv.deterministic, conv.benchmark) == (True, False)
        assert (matmul.allow_tf32, conv.allow_tf32, conv.benchmark) == (True, True, True)
        with exact_products("cpu"):
            assert conv.allow_tf32
    finally:
        matmul.allow_tf32, conv.allow_tf32, conv.deterministic, conv.benchmark = before


@pytest.mark.parametrize("there", [True, False])
def test_both_sides_are_made_on_the_trials_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    """A process without it makes them on the CPU."""
    asked: list[str] = []

    def made(judge: Any, pictures: np.ndarray, *, device: str) -> np.ndarray:
        asked.append(device)
        flat = pictures.reshape(len(pictures), -1)[:, : judge.num_features]
        return flat.astype(np.float64) + (device == "cuda")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    monkeypatch.setattr(real, "extract", made)
    monkeypatch.setattr(feature_metric, "extract", made)
    folder = write_practice_data(tmp_path / "cache", (8, 8)).path
    on_gpu, on_cpu = RealData(str(folder), "cuda"), RealData(str(folder))
    pictures = on_cpu.pictures("train", 14)
    settings = {"extractor": "randconv", "n_reference": 16}
    for side in (on_gpu, on_cpu):
        predictions = Predictions(values=pictures, passes=1, outside_share=0.0)
        evidence = Evidence(part="select", real=side, predictions=predictions)
        FrechetMetric(settings).estimate(evidence)
        NearestMetric({**settings, "nearest_k": 3}).estimate(evidence)
    used = "cuda" if there else "cpu"
    assert set(asked) == {used, "cpu"}
    assert asked[:2] == [used, used]
    kept = {path.name.rpartition("-")[2] for path in folder.glob("features-*-select-*")}
    assert kept == ({"16.npy", "cuda.npy"} if there else {"16.npy"})
    if there:  # a distance would be the same were both sides moved: the features are not
        other = on_gpu.features("randconv", "select", 16)
        assert np.array_equal(other, on_cpu.features("randconv", "select", 16) + 1)
