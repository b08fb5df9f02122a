"""The Fréchet distance extrapolated to infinitely many predictions: `fd_inf_<extractor>`.

See bench.metrics.infinite. Lower is better; values at different numbers of predictions compare,
which those of `fd_<extractor>` do not. It may be below 0: two are compared by their difference.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.errors import BenchError
from bench.metrics.feature_metric import FeatureMetric
from bench.metrics.frechet_metric import reference
from bench.metrics.infinite import PARTS, infinite_distance
from bench.metrics.metric import Estimates, Evidence
from bench.metrics.real import RealData
from leaderboards.measures import Measure

LEAST = 4  # pictures: two in each of the smallest parts


class InfiniteMetric(FeatureMetric):
    """See FeatureMetric for the settings."""

    @property
    def measures(self) -> tuple[Measure, ...]:
        key = self.extractor.key("fd_inf")
        said = "at infinitely many samples, by a line against 1/n; near 0 its error is its size"
        return (
            Measure(
                key=key, title=key, direction="lower", scale="difference", drop=12, meaning=said
            ),
        )

    def protocol(self) -> Mapping[str, Any]:
        return {**super().protocol(), "line_parts": list(PARTS)}

    def prepare(self, real: RealData, part_counts: Mapping[str, int]) -> None:
        super().prepare(real, part_counts)
        for part, count in part_counts.items():
            if count < LEAST:
                name = self.measures[0].key
                raise BenchError(
                    f"{name} needs {LEAST} pictures or more for its line; measure.n_{part} is "
                    f"{count}"
                )
        for part in ("select", "report"):
            reference(real, self.extractor_name, part, self.settings["n_reference"])

    def estimate(self, evidence: Evidence) -> Estimates:
        real_side = reference(
            evidence.real, self.extractor_name, evidence.part, self.settings["n_reference"]
        )
        value, error = infinite_distance(real_side, self.features_in_drawn_order(evidence))
        key = self.measures[0].key
        return {key: value} if error is None else {key: value, f"{key}_se": error}

    def seconds(self, shape: tuple[int, ...]) -> float:
        return 0.0  # the features are there; what is left is a few small spectra
