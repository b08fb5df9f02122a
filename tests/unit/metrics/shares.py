"""Evidence of a segmentation, for tests: shares, targets, and real data that say what is needed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from bench.metrics.metric import Evidence
from bench.predictions import Predictions


def evidence(values: np.ndarray, targets: np.ndarray, **more: Any) -> Evidence:
    """`simulated` and `subject_ids` are those of the data, the rest is Evidence's."""
    data = SimpleNamespace(
        simulated=more.pop("simulated", True), subject_ids=more.pop("subject_ids", ())
    )
    real: Any = SimpleNamespace(data=data)
    predictions = Predictions(values=values, passes=1, outside_share=0.0)
    return Evidence(part="report", real=real, predictions=predictions, targets=targets, **more)


def hard(labels: np.ndarray, classes: int = 1) -> np.ndarray:
    """Label maps [n, *spatial] as shares of 0 and 1, uint8 [n, K, *spatial]."""
    channels = range(1, 2) if classes == 1 else range(classes + 1)
    return np.stack([(labels == label) * 255 for label in channels], 1).astype(np.uint8)
