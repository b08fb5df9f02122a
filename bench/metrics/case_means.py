"""What is measured of each case and class, as means: over classes, over cases, by class.

A case's value is the mean over the classes that any target of the evaluation has: the same classes
for every case and every trial. Standard errors are those of choosing the cases, by subject.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.metrics.metric import Estimates, Evidence
from bench.metrics.psnr_metric import standard_error
from bench.metrics.segmentation import classes_in, labels_in
from leaderboards.measures import Measure

CLASSES = {"foreground_classes": 1}  # each has a column, where there are two or more
MOST = 255  # labels are bytes


def require_classes(settings: Mapping[str, Any]) -> None:
    """BenchError where the number of classes cannot be."""
    count = _count(settings)
    if not 1 <= count <= MOST:
        raise BenchError(f"foreground_classes must be 1 to {MOST}, got {count}")


def class_measures(
    settings: Mapping[str, Any], key: str, title: str, *, direction: str, unit: str = ""
) -> list[Measure]:
    """A measure for each class, where there are two or more."""
    count = _count(settings)
    return [
        Measure(
            key=f"{key}_class_{label}",
            title=f"{title} class {label}",
            direction=direction,
            scale="difference",
            unit=unit,
            drop=14,
            meaning="mean over cases",
        )
        for label in range(1, count + 1 if count > 1 else 1)
    ]


def present(evidence: Evidence) -> NDArray[np.int64]:
    """The classes, 0 for label 1, that any target of the evaluation has; all if none has."""

    def found() -> NDArray[np.int64]:
        _, targets = labels_in(evidence)
        classes = classes_in(evidence.predictions.values)
        there = np.flatnonzero(np.bincount(targets.ravel(), minlength=classes + 1)[1:])
        return np.asarray(there if len(there) else np.arange(classes), np.int64)

    return evidence.once("segmentation classes", found)


def means_by_case(values: NDArray[np.float64], evidence: Evidence) -> NDArray[np.float64]:
    """[n, classes] -> [n]: the mean over the classes that are present in the data."""
    return np.asarray(values[:, present(evidence)].mean(axis=1), np.float64)


def over_cases(
    key: str, values: NDArray[np.float64], evidence: Evidence, settings: Mapping[str, Any]
) -> Estimates:
    """Of values [n, classes]: `key` with its error, `key`_spread, and the classes that have a
    measure and are present, each with its error."""
    by_case = means_by_case(values, evidence)
    estimates = {key: float(by_case.mean())}
    estimates |= standard_error(key, by_case, evidence.subjects)
    if len(by_case) > 1:
        estimates[f"{key}_spread"] = float(by_case.std(ddof=1))
    for place in present(evidence).tolist() if _count(settings) > 1 else []:
        if place < _count(settings):
            name = f"{key}_class_{place + 1}"
            estimates[name] = float(values[:, place].mean())
            estimates |= standard_error(name, values[:, place], evidence.subjects)
    return estimates


def _count(settings: Mapping[str, Any]) -> int:
    return int(settings.get("foreground_classes", CLASSES["foreground_classes"]))
