"""Dice of each case and class: mean and spread over cases, by class, and the table of all.

A case's Dice is the mean over the classes that any target of the part has, and the score is the
mean over cases. Two empty masks have 1 and one empty mask 0; see bench.metrics.segmentation for
what other programs do.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from bench.files import ResultFile
from bench.metrics.case_means import (
    CLASSES,
    class_measures,
    means_by_case,
    over_cases,
    require_classes,
)
from bench.metrics.hd95_metric import empty_in, hd95_in
from bench.metrics.metric import Estimates, Evidence, Metric
from bench.metrics.psnr_metric import cases_left_out
from bench.metrics.segmentation import dice_in, labels_in
from leaderboards.measures import Measure

NAME = "segmentation_cases.csv"
HEAD = (
    "case", "subject", "class", "dice", "hd95_mm", "voxels_true", "voxels_predicted", "one_empty",
)  # fmt: skip


class DiceMetric(Metric):
    """`dice`, `dice_spread`, and `dice_class_1`... for each of `foreground_classes`."""

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
                key="dice",
                title="Dice",
                direction="higher",
                scale="difference",
                live=True,
                meaning="mean over cases of the mean over classes; both masks empty is 1, one is 0",
            ),
            Measure(
                key="dice_spread",
                title="Dice sd",
                scale="difference",
                drop=4,
                meaning="standard deviation of Dice over cases",
            ),
            *class_measures(self.settings, "dice", "Dice", direction="higher"),
        )

    def protocol(self) -> Mapping[str, Any]:
        return {"empty_masks": "both 1, one 0"}

    def estimate(self, evidence: Evidence) -> Estimates:
        return over_cases("dice", dice_in(evidence), evidence, self.settings)

    def left_out(self, evidence: Evidence) -> Mapping[str, list[float]]:
        return cases_left_out(means_by_case(dice_in(evidence), evidence), evidence)

    def files(self, evidence: Evidence) -> tuple[ResultFile, ...]:
        """A row of each case and class. Private where the data are real, as single patients are."""
        data = evidence.real.data
        table = ResultFile(name=NAME, content=_table(evidence), real=not data.simulated)
        return (table,)


def _table(evidence: Evidence) -> bytes:
    predicted, targets = labels_in(evidence)
    overlap, distance = dice_in(evidence), hd95_in(evidence)
    one_empty = np.not_equal(*empty_in(evidence))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEAD)
    for case, label in np.ndindex(overlap.shape):
        sizes = [int((maps[case] == label + 1).sum()) for maps in (targets, predicted)]
        writer.writerow(
            (
                case,
                _subject(evidence, case),
                label + 1,
                f"{overlap[case, label]:.6f}",
                f"{distance[case, label]:.4f}",
                *sizes,
                int(one_empty[case, label]),
            )
        )
    return text.getvalue().encode()


def _subject(evidence: Evidence, case: int) -> str:
    """The hashed id of a case's subject; its number where there is none, or nothing."""
    if evidence.subjects is None:
        return ""
    number, known = int(evidence.subjects[case]), evidence.real.data.subject_ids
    return known[number] if known else str(number)
