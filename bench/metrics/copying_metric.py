"""Whether generated pictures are copies of training pictures: `copied`, `copied_p`, `authentic`,
`likelihood_gap`.

See bench.metrics.copying for the test, bench.metrics.feature_likelihood for the gap. An entry that
fails the test at `level`, divided by the number of entries of its board, is barred from winning.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bench.files import ResultFile, whole
from bench.metrics import copying
from bench.metrics.closest_pairs import closest_pairs
from bench.metrics.feature_likelihood import likelihood_gap
from bench.metrics.feature_metric import FeatureMetric
from bench.metrics.metric import Estimates, Evidence
from bench.metrics.real import RealData, extractor_named
from leaderboards.measures import Measure

LEVEL = 0.01  # of the whole board
MOST_TRAIN, MOST_HELD_OUT = 20_000, 10_000  # pictures that are searched; more would take minutes
LEAST_SUBJECTS = 5  # with fewer there is nothing to say how near honest pictures come
HELD_OUT = {"select": ("select",), "report": ("select", "report")}  # rungs must not see `report`


class CopyingMetric(FeatureMetric):
    """See FeatureMetric for the settings; `n_reference` is not used, since any training picture may
    be the one that was copied."""

    @property
    def measures(self) -> tuple[Measure, ...]:
        return (
            Measure(
                key="copied",
                title="copied share",
                direction="lower",
                scale="difference",
                drop=5,
                meaning="share of samples nearer to one training picture, beside all others, than "
                "99 % of real subjects (or all but two) are",
            ),
            Measure(
                key="copied_p",
                title="copied p",
                drop=14,
                meaning="chance of so many such samples from a model that copies nothing",
                level=LEVEL,
                failure="copies its training pictures",
                failure_share="copied",
            ),
            Measure(
                key="authentic",
                title="authentic share",
                direction="higher",
                scale="difference",
                drop=16,
                meaning="share of samples further from their nearest training picture than that is "
                "from the nearest of another subject",
            ),
            Measure(
                key="likelihood_gap",
                title="likelihood gap",
                direction="lower",
                scale="difference",
                unit="nats",
                drop=16,
                meaning="how much likelier samples make a training picture than a held-out one, a "
                "feature; 0 where nothing is memorised",
            ),
        )

    def prepare(self, real: RealData, part_counts: Mapping[str, int]) -> None:
        super().prepare(real, part_counts)
        for part in part_counts:
            compared(real, self.extractor_name, part)

    def notes(self, real: RealData) -> tuple[str, ...]:
        data, told = real.data, []
        rows = np.concatenate([data.parts[part] for part in ("train", *HELD_OUT["report"])])
        subjects, pictures = len(np.unique(data.subject[rows])), len(data.parts["train"])
        if subjects < LEAST_SUBJECTS:
            told.append(
                f"copies of training pictures cannot be told, so no entry is barred: the data have "
                f"{subjects} subjects and the test needs {LEAST_SUBJECTS}"
            )
        if pictures > MOST_TRAIN:
            told.append(
                f"copies are searched for among {MOST_TRAIN} of {pictures} training pictures, "
                "drawn once; those of others are not seen"
            )
        return tuple(told)

    def protocol(self) -> Mapping[str, object]:
        return {**self.extractor.identity(), "n_train_at_most": MOST_TRAIN}

    def estimate(self, evidence: Evidence) -> Estimates:
        against = compared(evidence.real, self.extractor_name, evidence.part)
        samples = self.nearness(evidence)
        estimates = {
            "copied": copying.copied_share(samples, against.null),
            "authentic": copying.authentic_share(samples, against.others),
        }
        if evidence.final:
            estimates["likelihood_gap"] = likelihood_gap(
                self.features(evidence), against.train.features, against.held_out.features
            )
        if len(against.null) >= LEAST_SUBJECTS:
            estimates["copied_p"] = copying.copied_p(samples, against.null)
        return estimates

    def nearness(self, evidence: Evidence) -> copying.Nearness:
        """How near each predicted picture comes to a training picture."""
        against = compared(evidence.real, self.extractor_name, evidence.part)
        features = self.features(evidence)
        nobody = np.full(len(features), copying.NOBODY, np.int64)
        return evidence.once(
            f"nearness {self.extractor.digest}",
            lambda: copying.nearness(features, nobody, against.train, against.held_out),
        )

    def gives_back(self, estimates: Estimates) -> bool:
        """At the level of one entry alone, and so sooner than an entry is barred."""
        return estimates.get("copied_p", 1.0) < LEVEL

    def files(self, evidence: Evidence) -> tuple[ResultFile, ...]:
        """The closest pairs, which show somebody where the data are real."""
        against = compared(evidence.real, self.extractor_name, evidence.part)
        return (
            closest_pairs(
                evidence.predictions.values,
                self.features(evidence),
                self.nearness(evidence),
                against.train,
                against.null,
                evidence.real,
                searched_rows(evidence.real),
            ),
        )

    def seconds(self, shape: tuple[int, ...]) -> float:
        return 0.0  # the features are there; what is left is a product of small matrices


@dataclass(frozen=True, kw_only=True, eq=False)
class Compared:
    """What samples are compared with, of one part.

    null: for each real subject how near its nearest picture comes to training pictures of others,
    ascending. others: of each training picture the distance to the nearest of another subject.
    """

    train: copying.Known
    held_out: copying.Known
    null: NDArray[np.float64]
    others: NDArray[np.float64]


def compared(real: RealData, extractor: str, part: str) -> Compared:
    """What samples of a part are compared with; what takes long is kept beside the cache."""
    return _compared(str(real.folder), real.device, extractor, part)


def searched_rows(real: RealData) -> NDArray[np.int64]:
    """The training pictures that are searched for what was copied, in the order of `Compared`."""
    return real.rows("train", MOST_TRAIN)


@lru_cache(maxsize=4)
def _compared(folder: str, device: str, extractor: str, part: str) -> Compared:
    real, judge = RealData(folder, device), extractor_named(extractor)
    path = real.kept(f"copying-{judge.digest[:12]}-{part}.npz")
    train, its, of_train = _known(real, extractor, {"train": MOST_TRAIN})
    held_out, their, of_held = _known(real, extractor, dict.fromkeys(HELD_OUT[part], MOST_HELD_OUT))
    if path.exists():
        with np.load(path) as file:
            null, others = file["null"], file["others"]
    else:
        own = copying.nearness(of_train, its, train, held_out)
        theirs = copying.nearness(of_held, their, train, held_out)
        ratios = np.concatenate([own.log_ratio, theirs.log_ratio])
        null = copying.nearest_by_subject(ratios, np.concatenate([its, their]))
        others = own.distance
        with whole(path) as partial, partial.open("wb") as file:
            np.savez(file, null=null, others=others)
    return Compared(train=train, held_out=held_out, null=null, others=others)


def _known(
    real: RealData, extractor: str, counts: Mapping[str, int]
) -> tuple[copying.Known, NDArray[np.int64], NDArray[np.float64]]:
    """So many pictures of these parts, whose they are, and their features."""
    rows = np.concatenate([real.rows(part, count) for part, count in counts.items()])
    owners = real.data.subject[rows].astype(np.int64)
    plain, mirrored = (
        np.concatenate(
            [real.features(extractor, part, count, mirrored=m) for part, count in counts.items()]
        )
        for m in (False, True)
    )
    return copying.Known.of(plain, mirrored, owners), owners, plain
