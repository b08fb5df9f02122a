"""What metrics on features of pictures share: the extractor, the real side, one extraction."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.metrics.extractors import Extractor, extract
from bench.metrics.metric import Evidence, Metric
from bench.metrics.real import RealData, extractor_named


class FeatureMetric(Metric):
    """Settings: `extractor` (a name or "file.py:build"), `n_reference` real pictures at most.

    Features are extracted on the CPU, as the reference's, whatever trains: a GPU's TF32
    convolutions would be another judge.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"pictures"})

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(settings)
        if self.settings["n_reference"] < 2:
            count = self.settings["n_reference"]
            raise BenchError(f"n_reference must be at least 2, got {count}")

    @classmethod
    def settings_taken(cls) -> Mapping[str, Any]:
        return {"extractor": "randconv", "n_reference": 1024}

    @property
    def extractor(self) -> Extractor:
        return extractor_named(self.settings["extractor"])

    def protocol(self) -> Mapping[str, Any]:
        return {**self.extractor.identity(), "n_reference": self.settings["n_reference"]}

    def prepare(self, real: RealData, part_counts: Mapping[str, int]) -> None:
        """BenchError where a distance would be asked of fewer than two predicted pictures."""
        for part, count in part_counts.items():
            if count < 2:
                name = self.measures[0].key
                raise BenchError(f"{name} needs 2 pictures or more; measure.n_{part} is {count}")

    def features(self, evidence: Evidence) -> NDArray[np.float64]:
        """Features [n, D] of the predicted pictures, extracted once for all of an evaluation."""
        judge, pictures = self.extractor, evidence.predictions.values
        return evidence.once(
            f"features {judge.digest}", lambda: extract(judge, pictures, device="cpu")
        )

    def seconds(self, shape: tuple[int, ...]) -> float:
        """Of the extraction, whichever metric of an evaluation asks for it first."""
        pictures = np.zeros((64, *shape), np.uint8)
        extract(self.extractor, pictures)
        begin = time.perf_counter()
        extract(self.extractor, pictures)
        return (time.perf_counter() - begin) / len(pictures)
