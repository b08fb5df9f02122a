"""Precision, recall, density and coverage of predicted pictures beside real ones.

See bench.metrics.nearest. Higher is better, all but density are shares; they say which way a
distance is bad: low precision and density are pictures like no real one, low recall and coverage
are real pictures that nothing drawn is like.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from bench import streams
from bench.errors import BenchError
from bench.metrics.feature_metric import FeatureMetric
from bench.metrics.jackknife import Float64
from bench.metrics.metric import Estimates, Evidence
from bench.metrics.nearest import HALVES, SHARES, nearest, radii
from bench.metrics.real import RealData
from leaderboards.measures import Measure

MEANING = {
    "precision": "share of drawn pictures within the real ones' neighbourhoods",
    "recall": "share of real pictures within the drawn ones' neighbourhoods",
    "density": "how many real neighbourhoods a drawn picture is in, 1 for real ones",
    "coverage": "share of real neighbourhoods with a drawn picture in them",
}


class NearestMetric(FeatureMetric):
    """`nearest_k` is the neighbour that ends a neighbourhood. See FeatureMetric for the others."""

    @classmethod
    def settings_taken(cls) -> Mapping[str, Any]:
        return {**super().settings_taken(), "nearest_k": 5}

    @property
    def measures(self) -> tuple[Measure, ...]:
        return tuple(
            Measure(
                key=self.extractor.key(name),
                title=name,
                direction="higher",
                scale="difference",
                drop=9,
                meaning=MEANING[name],
            )
            for name in SHARES
        )

    def protocol(self) -> Mapping[str, Any]:
        return {**super().protocol(), "nearest_k": self.settings["nearest_k"]}

    def prepare(self, real: RealData, part_counts: Mapping[str, int]) -> None:
        """BenchError where there are not enough pictures for that many neighbours."""
        super().prepare(real, part_counts)
        k = self.settings["nearest_k"]
        for part, count in part_counts.items():
            there = len(real.rows(part, self.settings["n_reference"]))
            if not 1 <= k < min(count, there):
                raise BenchError(
                    f"prdc: nearest_k is {k}, and must be at least 1 and less than the pictures of "
                    f"{part}: {count} drawn, {there} real"
                )
            self._real(real, part)

    def estimate(self, evidence: Evidence) -> Estimates:
        real, reach = self._real(evidence.real, evidence.part)
        predicted = self.features_in_drawn_order(evidence)
        orders = [streams.permutation(0, "prdc half", k, len(predicted)) for k in range(HALVES)]
        found = nearest(real, reach, predicted, self.settings["nearest_k"], orders)
        estimates: dict[str, float] = {}
        for name, measure in zip(SHARES, self.measures, strict=True):
            estimates[measure.key] = found.values[name]
            if found.errors is not None:
                estimates[measure.se_key] = found.errors[name]
        return estimates

    def seconds(self, shape: tuple[int, ...]) -> float:
        return 0.0  # the features are there; what is left are products of small matrices

    def _real(self, real: RealData, part: str) -> tuple[Float64, Float64]:
        """Features and radii of the part's pictures."""
        count, k = self.settings["n_reference"], self.settings["nearest_k"]
        reach = _radii(str(real.folder), real.device, self.extractor_name, part, count, k)
        return real.features(self.extractor_name, part, count), reach


@lru_cache(maxsize=8)
def _radii(folder: str, device: str, extractor: str, part: str, count: int, k: int) -> Float64:
    return radii(RealData(folder, device).features(extractor, part, count), k)
