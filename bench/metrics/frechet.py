"""Fréchet distance between two sets of features, each taken as a Gaussian, in float64.

Dowson & Landau 1982; Heusel et al. 2017 (arXiv 1706.08500):
    FD = |m - m_r|^2 + tr S + tr S_r - 2 tr (S_r^1/2 S S_r^1/2)^1/2
The root of the reference covariance is computed once; what is left per evaluation is symmetric,
so its eigenvalues are real and need no epsilon. For fewer samples than features the same trace
is the nuclear norm of Xc S_r^1/2 / sqrt(n-1), a small SVD.

What is ours: the standard error, by a delete-block jackknife over the generated samples.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.files import whole
from bench.metrics.extractors import Extractor, extract
from bench.nonfinite import require_finite

Float64 = NDArray[np.float64]

BLOCKS = 20


@dataclass(frozen=True, kw_only=True, eq=False)
class FeatureStatistics:
    """Count, mean [D] and centred second moment M2 [D, D] of features; two of them merge exactly.

    Chan et al. 1979. Ranks that each hold a part of the samples merge theirs and get what one
    rank would have, up to rounding.
    """

    n: int
    mean: Float64
    m2: Float64

    @classmethod
    def of(cls, features: Float64) -> FeatureStatistics:
        """Statistics of features [N, D]; raises NonFiniteError on NaN or infinity."""
        features = _checked(features)
        mean = features.mean(0)
        centred = features - mean
        return cls(n=len(features), mean=mean, m2=centred.T @ centred)

    @property
    def cov(self) -> Float64:
        """Unbiased covariance [D, D]."""
        if self.n < 2:
            raise BenchError(f"a covariance needs at least 2 samples, not {self.n}")
        return self.m2 / (self.n - 1)


@dataclass(frozen=True, kw_only=True, eq=False)
class FrechetReference:
    """The fixed side of the distance: Gaussian of n reference features, with its root.

    `digest` names what it was computed from (pictures and extractor), so that two values can be
    seen to be against the same reference.
    """

    n: int
    mean: Float64
    cov: Float64
    sqrtcov: Float64
    digest: str

    @classmethod
    def of_features(cls, features: Float64, *, digest: str) -> FrechetReference:
        """Reference of features [N, D], N >= 2."""
        statistics = FeatureStatistics.of(features)
        cov = statistics.cov
        if statistics.n < features.shape[1]:
            centred = np.asarray(features, np.float64) - statistics.mean
            _, s, vt = scipy.linalg.svd(centred, full_matrices=False)
            sqrtcov = (vt.T * (s / np.sqrt(statistics.n - 1))) @ vt
        else:
            w, v = scipy.linalg.eigh(cov)
            sqrtcov = (v * np.sqrt(np.clip(w, 0.0, None))) @ v.T  # < 0 only by rounding
        return cls(n=statistics.n, mean=statistics.mean, cov=cov, sqrtcov=sqrtcov, digest=digest)

    @classmethod
    def of_images(
        cls, extractor: Extractor, images: NDArray[np.uint8], *, device: str = "cpu"
    ) -> FrechetReference:
        """Reference of uint8 NCHW pictures; its digest is that of the pictures and extractor."""
        sha = hashlib.sha256(f"{extractor.digest} {images.shape}".encode())
        sha.update(np.ascontiguousarray(images).data)
        features = extract(extractor, images, device=device)
        return cls.of_features(features, digest=sha.hexdigest())

    def save(self, path: Path) -> None:
        """Write an .npz, whole or not at all.

        Raises:
            BenchError: the disk is full or the folder cannot be written.
        """
        with whole(path) as part, part.open("wb") as file:
            np.savez(
                file,
                n=self.n,
                mean=self.mean,
                cov=self.cov,
                sqrtcov=self.sqrtcov,
                digest=self.digest,
            )

    @classmethod
    def load(cls, path: Path) -> FrechetReference:
        """Read what `save` wrote."""
        with np.load(path) as file:
            return cls(
                n=int(file["n"]),
                mean=file["mean"],
                cov=file["cov"],
                sqrtcov=file["sqrtcov"],
                digest=str(file["digest"]),
            )


@dataclass(frozen=True, kw_only=True)
class FrechetDistance:
    """A measured distance.

    value: the plug-in estimate from n generated samples (lower is better).
    se: standard error of `value`. Its estimand is the expected distance of n samples of this one
        model to this one reference: it holds the spread from drawing other samples, and neither
        the spread from other reference pictures nor from training with other seeds (the larger
        one). Sound away from the floor; where `value` is not well above `bias`, read it as
        "at the floor". None with fewer than 10 samples.
    bias: jackknife estimate of how much the finite n raises `value` over infinitely many samples
        (about c/n), so values at different n do not compare. None as above.
    """

    value: float
    se: float | None
    bias: float | None
    n: int
    n_reference: int


def frechet_distance(
    reference: FrechetReference, features: Float64, *, blocks: int = BLOCKS
) -> FrechetDistance:
    """Distance of features [N, D] to the reference, with its jackknife standard error.

    Sample i is in block i mod `blocks`, so every block holds every class of a cycled condition;
    samples count as independent. Blocks may differ by one in size (Busing et al. 1999, eq. 7).
    Cost: `blocks` + 1 evaluations of a D x D (or N x D) spectrum. Raises NonFiniteError on NaN or
    infinity, BenchError on other widths or fewer than 2 samples.
    """
    features = _checked(features)
    n, width = features.shape
    if width != len(reference.mean):
        raise BenchError(
            f"features have {width} columns, the reference {len(reference.mean)}: "
            "they come from different extractors"
        )
    value = _plug_in(reference, features)
    g = min(blocks, n // 2)
    if n < 10 or g < 2:
        return FrechetDistance(value=value, se=None, bias=None, n=n, n_reference=reference.n)
    block = np.arange(n) % g
    without = np.array([_plug_in(reference, features[block != b]) for b in range(g)])
    h = n / np.bincount(block, minlength=g)
    estimate = g * value - float(((1 - 1 / h) * without).sum())
    pseudo = h * value - (h - 1) * without
    variance = float(((pseudo - estimate) ** 2 / (h - 1)).mean())
    return FrechetDistance(
        value=value,
        se=variance**0.5,
        bias=value - estimate,
        n=n,
        n_reference=reference.n,
    )


def distance_of_statistics(reference: FrechetReference, statistics: FeatureStatistics) -> float:
    """Distance where only merged statistics are left, say of several ranks."""
    root = reference.sqrtcov
    spectrum = scipy.linalg.eigvalsh(root @ statistics.cov @ root)
    return _assemble(reference, statistics, float(np.sqrt(np.clip(spectrum, 0.0, None)).sum()))


def _plug_in(reference: FrechetReference, features: Float64) -> float:
    statistics = FeatureStatistics.of(features)
    if statistics.n >= features.shape[1]:
        return distance_of_statistics(reference, statistics)
    centred = features - statistics.mean
    singular = scipy.linalg.svdvals(centred @ reference.sqrtcov)
    return _assemble(reference, statistics, float(singular.sum() / np.sqrt(statistics.n - 1)))


def _assemble(reference: FrechetReference, statistics: FeatureStatistics, cross: float) -> float:
    delta = statistics.mean - reference.mean
    traces = float(np.trace(reference.cov) + np.trace(statistics.cov))
    return max(float(delta @ delta) + traces - 2.0 * cross, 0.0)  # < 0 only by rounding


def _checked(features: Float64) -> Float64:
    features = np.asarray(features, np.float64)
    if features.ndim != 2 or len(features) < 2:
        raise BenchError(f"features must be [N >= 2, D], not {features.shape}")
    require_finite(features, "features")
    return features
