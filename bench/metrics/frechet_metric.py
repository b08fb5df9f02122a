"""The Fréchet distance of predicted pictures to real ones: `fd_<extractor>`, lower is better.

On an extractor of its own ("fd:drawn") it is a second judge: a winner has to stand under it too.
At the end the distance to the train part stands beside it, against as many real pictures
of as many subjects (memorisation): see bench.metrics.memorisation.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bench.metrics.extractors import extract
from bench.metrics.feature_metric import FeatureMetric
from bench.metrics.frechet import (
    FrechetDistance,
    FrechetReference,
    distances_without,
    frechet_distance,
)
from bench.metrics.jackknife import blocks_of
from bench.metrics.leaving_out import groups_of
from bench.metrics.memorisation import of_subjects
from bench.metrics.metric import Estimates, Evidence
from bench.metrics.real import RealData, extractor_named
from leaderboards.measures import Measure


class FrechetMetric(FeatureMetric):
    """See FeatureMetric for the settings."""

    @property
    def measures(self) -> tuple[Measure, ...]:
        key, second = self.extractor.metric, self.own_extractor is not None
        return (
            Measure(
                key=key,
                title=key,
                direction="lower",
                live=not second,
                witness=second,
                drop=4 if second else 10,
            ),
            Measure(
                key=f"{key}_train",
                title=f"{key} to train" if second else "to train",
                drop=15,
                meaning="distance to as many training pictures, of as many subjects, as the report "
                "part has",
            ),
        )

    def prepare(self, real: RealData, part_counts: Mapping[str, int]) -> None:
        super().prepare(real, part_counts)
        for part in ("select", "report"):
            reference(real, self.extractor_name, part, self.settings["n_reference"])
        train_reference(real, self.extractor_name, self.settings["n_reference"])

    def estimate(self, evidence: Evidence) -> Estimates:
        judge, real, name = self.extractor, evidence.real, self.extractor_name
        features = self.features(evidence)
        real_side = reference(real, name, evidence.part, self.settings["n_reference"])
        distance = frechet_distance(real_side, features)
        estimates = {judge.metric: distance.value}
        if distance.se is not None:
            estimates[f"{judge.metric}_se"] = distance.se
        if evidence.final:
            matched = train_reference(real, name, self.settings["n_reference"])
            to_train = frechet_distance(matched, features)
            estimates[f"{judge.metric}_train"] = to_train.value
        return estimates

    def left_out(self, evidence: Evidence) -> Mapping[str, list[float]]:
        """The distance to the part without each group of its subjects."""
        real, count = evidence.real, self.settings["n_reference"]
        groups = groups_of(real.data.subject[real.rows(evidence.part, count)].astype(np.int64))
        features = real.features(self.extractor_name, evidence.part, count)
        sizes = np.bincount(groups)
        if len(sizes) < 2 or len(features) - sizes.max() < 2:
            return {}
        predicted = FrechetReference.of_features(self.features(evidence), digest="")
        return {"subjects": distances_without(predicted, features, groups).tolist()}

    def without_draws(self, evidence: Evidence) -> list[float]:
        features = self.features(evidence)
        block = blocks_of(len(features))
        if block is None:
            return []
        count = self.settings["n_reference"]
        real_side = reference(evidence.real, self.extractor_name, evidence.part, count)
        return [float(v) for v in distances_without(real_side, features, block)]

    def between(
        self, real: RealData, rows: NDArray[np.int64], others: NDArray[np.int64]
    ) -> FrechetDistance:
        """The distance of other real pictures to these."""
        first, second = (
            extract(self.extractor, real.pictures_at(r), device=real.device) for r in (rows, others)
        )
        return frechet_distance(FrechetReference.of_features(first, digest=""), second)


def reference(real: RealData, extractor: str, part: str, count: int) -> FrechetReference:
    """The real side of the distance, of at most `count` pictures of a part."""
    return _reference_in(str(real.folder), real.device, extractor, part, count)


def train_reference(real: RealData, extractor: str, count: int) -> FrechetReference:
    """The train part as `reference` has the report part: as many subjects, as many pictures."""
    return _train_reference_in(str(real.folder), real.device, extractor, count)


@lru_cache(maxsize=4)
def _train_reference_in(folder: str, device: str, extractor: str, count: int) -> FrechetReference:
    real, judge = RealData(folder, device), extractor_named(extractor)
    path = real.kept(f"reference-{judge.digest[:12]}-train-as-report-{count}.npz")
    if path.exists():
        return FrechetReference.load(path)
    report, train = real.rows("report", count), real.data.parts["train"]
    subjects = len(np.unique(real.data.subject[report]))
    rows = of_subjects(train, real.data.subject[train], subjects, len(report))
    made = FrechetReference.of_features(
        extract(judge, real.pictures_at(rows), device=real.device),
        digest=f"{judge.digest[:16]}-train-as-report-{count}",
    )
    made.save(path)
    return made


@lru_cache(maxsize=16)
def _reference_in(
    folder: str, device: str, extractor: str, part: str, count: int
) -> FrechetReference:
    """The real side of the distance with its root, from the file beside the cache or into it."""
    real, judge = RealData(folder, device), extractor_named(extractor)
    path = real.kept(f"reference-{judge.digest[:12]}-{part}-{count}.npz")
    if path.exists():
        return FrechetReference.load(path)
    made = FrechetReference.of_features(
        real.features(extractor, part, count), digest=f"{judge.digest[:16]}-{part}-{count}"
    )
    made.save(path)
    return made
