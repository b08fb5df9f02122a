"""What an autoencoder loses: PSNR against scikit-image, no distance where nothing is lost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio
from torch import Tensor

from bench.metrics.metric import Evidence
from bench.metrics.real import RealData
from bench.metrics.reconstruction_metric import ReconstructionMetric
from bench.predictions import Predictions
from tests.fakes.trials import write_cache

COUNT = 12


def shifted(x: Tensor) -> Tensor:
    return x * 0.9 + 0.02


@pytest.fixture
def evidence(tmp_path: Path) -> Evidence:
    real = RealData(str(write_cache(tmp_path / "cache")))
    values = np.zeros((COUNT, 1, 8, 8), np.uint8)  # only their number is of interest
    predictions = Predictions(values=values, passes=1, outside_share=0.0)
    return Evidence(part="report", real=real, predictions=predictions, reconstruct=shifted)


def test_decibels_are_the_mean_over_pictures(evidence: Evidence) -> None:
    metric = ReconstructionMetric({"extractor": "randconv", "n_reference": 20})
    estimates = metric.estimate(evidence)
    images = evidence.real.images("report", COUNT).numpy()
    each = [
        peak_signal_noise_ratio(x, shifted(torch.from_numpy(x)).numpy(), data_range=2)
        for x in images
    ]
    # float32 pictures
    assert estimates["reconstruction_psnr"] == pytest.approx(np.mean(each), rel=1e-5)
    se = np.std(each, ddof=1) / COUNT**0.5
    assert estimates["reconstruction_psnr_se"] == pytest.approx(se, rel=1e-4)
    assert estimates["reconstruction_fd_randconv"] > 0


def test_the_distance_is_to_the_same_pictures_and_of_the_end_alone(evidence: Evidence) -> None:
    metric = ReconstructionMetric({"extractor": "randconv", "n_reference": 20})
    exact = replace(evidence, reconstruct=lambda x: x, shared={})
    scale = metric.estimate(evidence)["reconstruction_fd_randconv"]
    assert metric.estimate(exact)["reconstruction_fd_randconv"] == pytest.approx(
        0, abs=1e-6 * scale
    )
    at_rung = metric.estimate(replace(exact, part="select", shared={}))
    assert "reconstruction_fd_randconv" not in at_rung
    assert "reconstruction_psnr" in at_rung
