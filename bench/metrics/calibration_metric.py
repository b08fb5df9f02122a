"""Whether shares mean what they say: calibration error, Brier score and the error-retention curve.

Over all voxels of all cases together, where easy background counts most, and, for the calibration
error, over the undecided voxels too: those given neither 0 nor 1. An answer of zeros and ones is
hard: it has no undecided voxels, and its numbers say no more than how often it is wrong. See
bench.metrics.reliability for formulas.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import ClassVar

import numpy as np

from bench.files import ResultFile
from bench.metrics import reliability
from bench.metrics.case_means import present
from bench.metrics.leaving_out import groups_of
from bench.metrics.metric import Estimates, Evidence, Metric
from bench.metrics.reliability import Tables
from bench.metrics.reliability_picture import drawn
from bench.metrics.segmentation import labels_in
from leaderboards.measures import Measure

NAME = "reliability.png"
HARD = "0: all answers are hard, and these say only how often they are wrong"


class CalibrationMetric(Metric):
    """`ece` first, all of shares of classes."""

    needs: ClassVar[frozenset[str]] = frozenset({"targets"})

    @property
    def measures(self) -> tuple[Measure, ...]:
        def error(key: str, title: str, meaning: str, drop: int) -> Measure:
            return Measure(
                key=key,
                title=title,
                direction="lower",
                scale="difference",  # each may be 0
                drop=drop,
                meaning=meaning,
            )

        return (
            error("ece", "ECE", f"calibration error of {reliability.BINS} bins, all voxels", 5),
            error("ece_undecided", "ECE undecided", "ECE of voxels given neither 0 nor 1", 6),
            error("brier", "Brier", "mean over voxels and classes of (share - truth) squared", 8),
            error(
                "retention_area",
                "retention area",
                "under the error-retention curve: half the error where certainty says nothing",
                13,
            ),
            Measure(
                key="retention_gain",
                title="retention gain",
                direction="higher",
                scale="difference",
                drop=9,
                meaning="1: the least certain voxels are the wrong ones; 0: certainty is chance",
                reference=0.0,
                reference_text="voxels dropped by chance",
                reference_verdict="no trial's certainty says where it is wrong",
            ),
            Measure(
                key="undecided_voxels",
                title="undecided",
                scale="difference",
                drop=11,
                meaning=f"share of voxels given neither 0 nor 1; {HARD}",
            ),
        )

    def protocol(self) -> Mapping[str, int]:
        return {"calibration_bins": reliability.BINS}

    def estimate(self, evidence: Evidence) -> Estimates:
        found, estimates = tables_in(evidence), dict[str, float]()
        for key, measure in MEASURES.items():
            value = measure(found)
            if math.isnan(value):  # there is no such voxel, or no error
                continue
            estimates[key] = value
            without = np.array(_left_out(evidence, measure))
            if len(without) > 1 and not np.isnan(without).any():
                spread = (len(without) - 1) * float(without.var())
                estimates[f"{key}_se"] = spread**0.5
        return estimates

    def left_out(self, evidence: Evidence) -> Mapping[str, list[float]]:
        if evidence.subjects is None:
            return {}
        without = _left_out(evidence, reliability.calibration_error)
        return {"cases": without} if without else {}

    def files(self, evidence: Evidence) -> tuple[ResultFile, ...]:
        """The reliability diagram and the error-retention curve; sums over all cases."""
        page = drawn(
            tables_in(evidence).joined(),
            classes=present(evidence) + 1,
            simulated=evidence.real.data.simulated,
            cases=len(evidence.predictions.values),
        )
        return (ResultFile(name=NAME, content=page, real=False),)


MEASURES: Mapping[str, Callable[[Tables], float]] = {
    "ece": reliability.calibration_error,
    "ece_undecided": lambda all_cases: reliability.calibration_error(all_cases, undecided=True),
    "brier": reliability.brier,
    "retention_area": reliability.retention_area,
    "retention_gain": reliability.retention_gain,
    "undecided_voxels": reliability.undecided_share,
}


def tables_in(evidence: Evidence) -> Tables:
    """Counts of the classes that are present in the data, once an evaluation."""

    def counted() -> Tables:
        _, targets = labels_in(evidence)
        whole = reliability.tables(evidence.predictions.values, targets)
        return whole.of_classes(present(evidence))

    return evidence.once("reliability", counted)


def _left_out(evidence: Evidence, measure: Callable[[Tables], float]) -> list[float]:
    """The measure without each group of the subjects, or cases; nothing where there is one."""
    found = tables_in(evidence)
    subjects = evidence.subjects
    groups = groups_of(np.arange(len(found.by_class)) if subjects is None else subjects)
    if groups.max(initial=0) < 1:
        return []
    return [measure(found.without(groups == group)) for group in range(groups.max() + 1)]
