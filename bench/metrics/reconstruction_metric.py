"""What a method's autoencoder loses on its own: held-out pictures through it and back.

The floor of latent diffusion: its PSNR, and at the end the Fréchet distance of the reconstructed
pictures to the same pictures, which fresh samples can beat by chance alone. Methods that code
nothing have no such number.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch

from bench.metrics.extractors import extract
from bench.metrics.feature_metric import FeatureMetric
from bench.metrics.frechet import frechet_distance
from bench.metrics.frechet_metric import reference
from bench.metrics.metric import Estimates, Evidence
from leaderboards.measures import Measure

PSNR = "reconstruction_psnr"
RANGE = 2.0  # of pictures in [-1, 1]
LEAST = 1e-10  # squared error below which there is none: 106 dB


class ReconstructionMetric(FeatureMetric):
    """As many pictures as are predicted. See FeatureMetric for the settings."""

    needs: ClassVar[frozenset[str]] = frozenset({"pictures", "reconstruct"})

    @property
    def measures(self) -> tuple[Measure, ...]:
        said = "held-out pictures through the autoencoder alone: a floor of the latent method"
        return (
            Measure(
                key=PSNR,
                title="autoencoder dB",
                direction="higher",
                scale="difference",
                unit="dB",
                drop=8,
                meaning=said,
            ),
            Measure(
                key=f"reconstruction_{self.extractor.metric}",
                title=f"autoencoder {self.extractor.metric}",
                direction="lower",
                drop=6,
                meaning=said,
            ),
        )

    def estimate(self, evidence: Evidence) -> Estimates:
        reconstruct, real, part = evidence.reconstruct, evidence.real, evidence.part
        assert reconstruct is not None
        images = real.images(part, len(evidence.predictions.values))
        coded = reconstruct(images).clamp(-1, 1)
        error = (coded - images).double().square().flatten(1).mean(1).clamp_min(LEAST)
        decibels = 10 * torch.log10(RANGE**2 / error)
        estimates = {PSNR: float(decibels.mean())}
        if len(images) > 1:
            estimates[f"{PSNR}_se"] = float(decibels.std() / len(images) ** 0.5)
        if evidence.final:
            bytes_ = ((coded + 1) * 127.5).round().to(torch.uint8).numpy()
            features = extract(self.extractor, np.ascontiguousarray(bytes_), device=real.device)
            same = reference(real, self.extractor_name, part, len(images))
            distance = frechet_distance(same, features)
            estimates[self.measures[1].key] = distance.value
        return estimates

    def seconds(self, shape: tuple[int, ...]) -> float:
        """Once a trial and of latent methods alone: too little to be counted a prediction."""
        return 0.0
