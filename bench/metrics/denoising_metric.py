"""The denoising error of D on held-out pictures, against the best linear denoiser (contract 10).

The same pictures and noise for every trial; see bench.metrics.denoising_error for the definition.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.conditions import NOTHING
from bench.errors import BenchError
from bench.metrics.denoising_error import denoising_error, levels_of, squared_errors
from bench.metrics.metric import Estimates, Evidence, Metric
from bench.metrics.real import REFERENCE_SEED, RealData
from leaderboards.measures import Measure

SIGMAS = (0.05, 0.126, 0.316, 0.795, 2.0, 5.03, 12.7, 31.8, 80.0)  # shared_sigmas, in short
KEY = "denoise_error"


class DenoisingMetric(Metric):
    """Settings: `n_denoise` pictures, `denoise_sigmas` noise levels."""

    needs: ClassVar[frozenset[str]] = frozenset({"denoise"})

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(settings)
        levels_of(self.sigmas)
        if int(settings["n_denoise"]) < 1:
            raise BenchError(f"n_denoise must be at least 1, got {settings['n_denoise']}")

    @classmethod
    def settings_taken(cls) -> Mapping[str, Any]:
        return {"n_denoise": 32, "denoise_sigmas": SIGMAS}

    @property
    def sigmas(self) -> tuple[float, ...]:
        return tuple(float(sigma) for sigma in self.settings["denoise_sigmas"])

    @property
    def measures(self) -> tuple[Measure, ...]:
        return (
            Measure(
                key=KEY,
                title="denoise error",
                direction="lower",
                drop=5,
                live=True,
                reference=1.0,
                reference_text="the best linear denoiser of the data",
                reference_verdict="nothing here has learned more than means and covariances",
            ),
        )

    def protocol(self) -> Mapping[str, Any]:
        return {"n_denoise": self.settings["n_denoise"], "denoise_sigmas": list(self.sigmas)}

    def prepare(self, real: RealData, part_counts: Mapping[str, int]) -> None:
        real.gaussian()

    def passes(self) -> int:
        return len(self.sigmas) * int(self.settings["n_denoise"])

    def estimate(self, evidence: Evidence) -> Estimates:
        denoise = evidence.denoise
        assert denoise is not None
        count = int(self.settings["n_denoise"])
        rows = evidence.real.rows(evidence.part, count)
        condition_of = evidence.real_condition
        result = denoising_error(
            denoise,
            evidence.real.images(evidence.part, count),
            condition=NOTHING if condition_of is None else condition_of(rows),
            sigmas=self.sigmas,
            noise_seed=REFERENCE_SEED,
            optimal_error=_optimal(str(evidence.real.folder), evidence.part, count, self.sigmas),
        )
        estimates = {KEY: result.weighted}
        return estimates if result.se is None else {**estimates, f"{KEY}_se": result.se}


@lru_cache(maxsize=16)
def _optimal(folder: str, part: str, count: int, sigmas: tuple[float, ...]) -> NDArray[np.float64]:
    """Per-pixel squared error of the best linear denoiser at each sigma."""
    real = RealData(folder)
    errors = squared_errors(
        real.gaussian(), real.images(part, count), sigmas=sigmas, noise_seed=REFERENCE_SEED
    )
    return np.asarray(errors.mean(0))
