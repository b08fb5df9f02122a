"""What metrics on features of pictures share: the extractor, the real side, one extraction."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.metrics.extractors import Extractor, extract
from bench.metrics.metric import Evidence, Metric
from bench.metrics.real import RealData, device_here, extractor_named


class FeatureMetric(Metric):
    """Settings: `extractor` (a name or "file.py:build"), `n_reference` real pictures at most.

    Features are made where the trial runs, as those of the real side are (see
    bench.metrics.extractors for how far devices agree).
    """

    needs: ClassVar[frozenset[str]] = frozenset({"pictures"})
    own_extractor: ClassVar[str | None] = None  # "fd:inception", whatever judges the score

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(settings)
        if self.own_extractor:
            self.settings["extractor"] = self.own_extractor
        if self.settings["n_reference"] < 2:
            count = self.settings["n_reference"]
            raise BenchError(f"n_reference must be at least 2, got {count}")

    @classmethod
    def settings_taken(cls) -> Mapping[str, Any]:
        shared = {"n_reference": 1024}
        return shared if cls.own_extractor else {"extractor": "randconv", **shared}

    @classmethod
    def of(cls, extractor: str) -> type[FeatureMetric]:
        """The same metric on the features of an extractor of its own."""
        return type(cls.__name__, (cls,), {"own_extractor": extractor, "__doc__": cls.__doc__})

    @property
    def extractor_name(self) -> str:
        return str(self.settings["extractor"])

    @property
    def extractor(self) -> Extractor:
        return extractor_named(self.extractor_name)

    def protocol(self) -> Mapping[str, Any]:
        return {**self.extractor.identity(), "n_reference": self.settings["n_reference"]}

    def prepare(self, real: RealData, part_counts: Mapping[str, int]) -> None:
        """BenchError where a distance would be asked of fewer than two predicted pictures."""
        for part, count in part_counts.items():
            if count < 2:
                name = self.measures[0].key
                raise BenchError(f"{name} needs 2 pictures or more; measure.n_{part} is {count}")

    def features(self, evidence: Evidence) -> NDArray[np.float64]:
        """Features [n, D] of the predicted pictures, extracted once for all of an evaluation."""
        judge, pictures = self.extractor, evidence.predictions.values
        return evidence.once(
            f"features {judge.digest}",
            lambda: extract(judge, pictures, device=evidence.real.device),
        )

    def features_in_drawn_order(self, evidence: Evidence) -> NDArray[np.float64]:
        """The same in an order that is as good as drawn, whatever order the pictures came in: that
        of their digests."""
        pictures = evidence.predictions.values
        marks = evidence.once(
            "order of digests",
            lambda: np.argsort([hashlib.sha256(picture).hexdigest() for picture in pictures]),
        )
        return self.features(evidence)[marks]

    def seconds(self, shape: tuple[int, ...]) -> float:
        """Of the extraction, whichever metric of an evaluation asks for it first."""
        pictures, device = np.zeros((64, *shape), np.uint8), device_here("cuda")
        extract(self.extractor, pictures, device=device)
        begin = time.perf_counter()
        extract(self.extractor, pictures, device=device)
        return (time.perf_counter() - begin) / len(pictures)
