"""Quality inside and outside objects' boxes: where a model is sharp, and where it is blurred.

A generated picture has no box; but pictures cut to their boxes have them at about the same place.
So the real pictures' masks are averaged into one map w of 0..1, how often a place is inside, and w
and 1 - w weight generated and real pictures alike. Sharpness is high-frequency energy, the mean
square of the Laplacian of the picture's grey value, as a share of the real pictures'. The distance
`inside` is the Fréchet distance of pictures whose outside is faded to the middle of the range by
1 - w, the distance `outside` that of the others. Ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.metrics.extractors import extract
from bench.metrics.feature_metric import FeatureMetric
from bench.metrics.frechet import FrechetReference, frechet_distance
from bench.metrics.metric import Estimates, Evidence
from bench.metrics.real import RealData, extractor_named
from leaderboards.measures import Measure

SIDES = ("inside", "outside")
MIDDLE = 127.5  # what is faded becomes this
NOTED = "of the real pictures', by Laplacian energy; below 1 blurred, above 1 noisy or too sharp"

Weights = NDArray[np.float64]  # [*spatial], 0..1


class BoxMetric(FeatureMetric):
    """See FeatureMetric for the settings. Needs data with masks, of which any class is inside."""

    needs: ClassVar[frozenset[str]] = frozenset({"pictures", "masks"})

    @property
    def measures(self) -> tuple[Measure, ...]:
        key = self.extractor.metric
        return (
            Measure(key=f"{key}_inside", title="fd in box", direction="lower", drop=11),
            Measure(key=f"{key}_outside", title="fd around box", direction="lower", drop=11),
            Measure(
                key="sharp_inside", title="sharp in box", drop=9,
                meaning=f"sharpness inside boxes as a share {NOTED}",
            ),
            Measure(
                key="sharp_outside", title="sharp around", drop=9,
                meaning=f"sharpness around boxes as a share {NOTED}",
            ),
        )  # fmt: skip

    def prepare(self, real: RealData, part_counts: Mapping[str, int]) -> None:
        super().prepare(real, part_counts)
        for part in part_counts:
            for side in SIDES:
                _reference(str(real.folder), real.device, *self._of(part), side)

    def estimate(self, evidence: Evidence) -> Estimates:
        folder, part = str(evidence.real.folder), evidence.part
        predicted = evidence.predictions.values
        estimates: dict[str, float] = {}
        for side in SIDES:
            weights = _weights(folder, part, side)
            device = evidence.real.device
            faded = extract(self.extractor, _faded(predicted, weights), device=device)
            distance = frechet_distance(_reference(folder, device, *self._of(part), side), faded)
            key = f"{self.extractor.metric}_{side}"
            estimates[key] = distance.value
            if distance.se is not None:
                estimates[f"{key}_se"] = distance.se
            real = _real_energy(folder, part, self.settings["n_reference"], side)
            shares = sharpness(predicted, weights) / real
            estimates[f"sharp_{side}"] = float(shares.mean())
            if len(shares) > 1:
                estimates[f"sharp_{side}_se"] = float(shares.std(ddof=1) / len(shares) ** 0.5)
        return estimates

    def seconds(self, shape: tuple[int, ...]) -> float:
        return 2 * super().seconds(shape)

    def _of(self, part: str) -> tuple[str, str, int]:
        return self.extractor_name, part, self.settings["n_reference"]


def sharpness(pictures: NDArray[np.uint8], weights: Weights) -> NDArray[np.float64]:
    """[n]: the weighted mean square of the Laplacian of uint8 [n, C, *spatial], channels averaged.

    Along every axis x[i-1] - 2 x[i] + x[i+1], in the picture alone; the rim has no neighbours on
    one side and is left out.
    """
    grey = pictures.astype(np.float64).mean(axis=1)
    inner = (slice(None), *(slice(1, -1),) * (grey.ndim - 1))
    laplacian = np.zeros_like(grey[inner])
    for axis in range(1, grey.ndim):
        bent = np.zeros_like(grey)
        middle = [slice(None)] * grey.ndim
        middle[axis] = slice(1, -1)
        bent[tuple(middle)] = np.diff(grey, n=2, axis=axis)
        laplacian += bent[inner]
    w = weights[inner[1:]]
    axes = tuple(range(1, grey.ndim))
    energy: NDArray[np.float64] = (np.square(laplacian) * w).sum(axis=axes) / w.sum()
    return energy


def _faded(pictures: NDArray[np.uint8], weights: Weights) -> NDArray[np.uint8]:
    faded: NDArray[np.float64] = MIDDLE + (pictures - MIDDLE) * weights
    return np.rint(faded).astype(np.uint8)


@lru_cache(maxsize=16)
def _weights(folder: str, part: str, side: str) -> Weights:
    """How often each place is inside a box of the part's pictures, or outside of it.

    Raises:
        BenchError: the data have no masks, or they leave nothing on one side.
    """
    data = RealData(folder).data
    if data.masks is None:
        raise BenchError("metric box needs the boxes or masks of pictures; these data have none")
    rows = data.parts[part]
    inside = np.zeros(data.masks.shape[2:], np.int64)
    for row in rows:
        inside += data.masks[row].any(axis=0)
    share: Weights = inside / len(rows)
    if side == "outside":
        share = 1 - share
    if not share[(slice(1, -1),) * share.ndim].sum() > 0:
        raise BenchError(
            f"metric box: the boxes leave no pixel {side} in the {part} part; read the pictures "
            "with more around them (--box-padding)"
        )
    return share


@lru_cache(maxsize=16)
def _real_energy(folder: str, part: str, count: int, side: str) -> float:
    pictures = RealData(folder).pictures(part, count)
    energy = float(sharpness(pictures, _weights(folder, part, side)).mean())
    if energy == 0:
        raise BenchError(f"metric box: the real pictures of {part} are flat {side} their boxes")
    return energy


@lru_cache(maxsize=16)
def _reference(
    folder: str, device: str, extractor: str, part: str, count: int, side: str
) -> FrechetReference:
    """From the file beside the cache, or into it."""
    judge, real = extractor_named(extractor), RealData(folder, device)
    path = real.kept(f"reference-{judge.digest[:12]}-{part}-{count}-{side}.npz")
    if path.exists():
        return FrechetReference.load(path)
    faded = _faded(real.pictures(part, count), _weights(folder, part, side))
    features = extract(judge, faded, device=device)
    digest = f"{judge.digest[:16]}-{part}-{count}-{side}"
    made = FrechetReference.of_features(features, digest=digest)
    made.save(path)
    return made
