"""HD95 of each case and class in mm: mean, spread, and how many of them an empty mask decided.

The larger of the two directed 95th percentiles (MONAI's convention). A case in which one mask is
empty has the diagonal of the volume, which moves a mean by much: how many these are, the mean
without them and the median stand beside it. See bench.metrics.surface_distance.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.metrics.case_means import (
    CLASSES,
    class_measures,
    means_by_case,
    over_cases,
    present,
    require_classes,
)
from bench.metrics.metric import Estimates, Evidence, Metric
from bench.metrics.psnr_metric import cases_left_out
from bench.metrics.segmentation import classes_in, labels_in
from bench.metrics.surface_distance import empty_masks, hd95, mask_hd95
from leaderboards.measures import Measure


class HD95Metric(Metric):
    """`hd95`, its distribution, and `hd95_class_1`... for each of `foreground_classes`."""

    needs: ClassVar[frozenset[str]] = frozenset({"targets"})

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(settings)
        require_classes(self.settings)

    @classmethod
    def settings_taken(cls) -> Mapping[str, Any]:
        return CLASSES

    @property
    def measures(self) -> tuple[Measure, ...]:
        return (
            Measure(
                key="hd95",
                title="HD95",
                direction="lower",
                scale="difference",  # a perfect answer has 0
                unit="mm",
                drop=2,
                live=True,
                meaning=(
                    "mean over cases of the mean over classes of the larger directed 95th "
                    "percentile; both masks empty is 0, one is the volume's diagonal"
                ),
            ),
            Measure(
                key="hd95_spread",
                title="HD95 sd",
                scale="difference",
                unit="mm",
                drop=12,
                meaning="standard deviation of HD95 over cases",
            ),
            Measure(
                key="hd95_median",
                title="HD95 median",
                direction="lower",
                scale="difference",
                unit="mm",
                drop=6,
                meaning="over cases",
            ),
            Measure(
                key="hd95_found",
                title="HD95 found",
                direction="lower",
                scale="difference",
                unit="mm",
                drop=7,
                meaning="mean over cases and classes of which neither mask is empty",
            ),
            Measure(
                key="hd95_one_empty",
                title="one empty",
                direction="lower",
                scale="difference",
                digits=0,
                drop=5,
                meaning="cases and classes with one empty mask, which have the volume's diagonal",
            ),
            Measure(
                key="hd95_unspaced",
                title="no mm",
                digits=0,
                drop=17,
                meaning="cases whose voxel size is not known and taken as 1 mm",
            ),
            *class_measures(self.settings, "hd95", "HD95", direction="lower", unit="mm"),
        )

    def protocol(self) -> Mapping[str, Any]:
        return {"percentile": "larger directed 95th", "empty_masks": "both 0, one the diagonal"}

    def estimate(self, evidence: Evidence) -> Estimates:
        values = hd95_in(evidence)
        here = present(evidence)
        ours, true = (empty[:, here] for empty in empty_in(evidence))
        neither = values[:, here][~ours & ~true]
        return {
            **over_cases("hd95", values, evidence, self.settings),
            "hd95_median": float(np.median(means_by_case(values, evidence))),
            **({"hd95_found": float(neither.mean())} if len(neither) else {}),
            "hd95_one_empty": float((ours != true).sum()),
            "hd95_unspaced": float(len(values) if evidence.spacing is None else 0),
        }

    def left_out(self, evidence: Evidence) -> Mapping[str, list[float]]:
        return cases_left_out(means_by_case(hd95_in(evidence), evidence), evidence)

    def seconds(self, shape: tuple[int, ...]) -> float:
        """Of one class: two balls of a third of the sides, one moved by a voxel."""
        ball = _ball(shape[1:])
        begin = time.perf_counter()
        mask_hd95(ball, np.roll(ball, 1, axis=0), (1.0,) * ball.ndim)
        return max(shape[0] - 1, 1) * (time.perf_counter() - begin)


def hd95_in(evidence: Evidence) -> NDArray[np.float64]:
    """HD95 [n, classes], once an evaluation."""
    predicted, targets = labels_in(evidence)
    classes = classes_in(evidence.predictions.values)
    return evidence.once("hd95", lambda: hd95(predicted, targets, classes, evidence.spacing))


def empty_in(evidence: Evidence) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether the predicted mask is empty, and the true one: [n, classes], once an evaluation."""
    classes = classes_in(evidence.predictions.values)

    def found() -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        predicted, targets = labels_in(evidence)
        return empty_masks(predicted, classes), empty_masks(targets, classes)

    return evidence.once("empty masks", found)


def _ball(spatial: tuple[int, ...]) -> NDArray[np.bool_]:
    """An ellipsoid in the middle, of one voxel at least."""
    places = np.indices(spatial).reshape(len(spatial), -1)
    sides = np.asarray(spatial, np.float64)[:, None]
    away = np.square((places - sides // 2) / np.maximum(sides / 3, 1)).sum(axis=0)
    return np.asarray((away < 1).reshape(spatial))
