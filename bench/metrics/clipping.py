"""How much of the predictions lay outside the data's range, and what each prediction cost."""

from __future__ import annotations

from bench.metrics.metric import Estimates, Evidence, Metric
from leaderboards.measures import Measure


class ClippingMetric(Metric):
    """Facts of every set of predictions; neither is a merit."""

    @property
    def measures(self) -> tuple[Measure, ...]:
        return (
            Measure(key="clipped_pixels", title="clipped pixels", drop=16),
            Measure(key="nfe", title="NFE", drop=16),
        )

    def estimate(self, evidence: Evidence) -> Estimates:
        predictions = evidence.predictions
        return {"clipped_pixels": predictions.outside_share, "nfe": float(predictions.passes)}
