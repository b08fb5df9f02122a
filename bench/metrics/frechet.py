"""Fréchet distance between two sets of features, each taken as a Gaussian, in float64.

Dowson & Landau 1982; Heusel et al. 2017 (arXiv 1706.08500):
    FD = |m - m_r|^2 + tr S + tr S_r - 2 tr (S_r^1/2 S S_r^1/2)^1/2
The root of the reference covariance is computed once and kept. What is left per evaluation is the
nuclear norm of Z / sqrt(n-1), Z = (X - m) S_r^1/2 [n, D]: the roots of the eigenvalues of its
smaller Gram matrix, symmetric and real, of which the largest min(n, n_r) - 1 can be above 0. No
epsilon, no imaginary part. Without some samples Z keeps its other rows, less their mean, so that
values without each block of them cost one small spectrum each.

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
from bench.metrics.jackknife import BLOCKS, Float64, blocks_of, error_and_bias
from bench.nonfinite import require_finite


@dataclass(frozen=True, kw_only=True, eq=False)
class FeatureStatistics:
    """Count, mean [D] and centred second moment M2 [D, D] of features, in float64.

    Processes that each hold a part of the samples merge theirs and get what one of them would have
    had, up to rounding.
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

    def merged(self, other: FeatureStatistics) -> FeatureStatistics:
        """The statistics of both sets of samples together (Chan et al. 1979, eq. 2.1)."""
        n, apart = self.n + other.n, other.mean - self.mean
        between = np.outer(apart, apart) * (self.n * other.n / n)
        mean = self.mean + apart * (other.n / n)
        return FeatureStatistics(n=n, mean=mean, m2=self.m2 + other.m2 + between)

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

    Samples count as independent; their blocks are those of bench.metrics.jackknife. Raises
    NonFiniteError on NaN or infinity, BenchError on other widths or fewer than 2 samples.
    """
    features = _checked(features)
    n = len(features)
    rows = _Rows(reference, features)
    value, block = rows.distance(), blocks_of(n, blocks)
    se = bias = None
    if block is not None:
        se, bias = error_and_bias(value, rows.distances_without(block), block)
    return FrechetDistance(value=value, se=se, bias=bias, n=n, n_reference=reference.n)


def distances_without(
    reference: FrechetReference, features: Float64, group: NDArray[np.int64]
) -> Float64:
    """Distances [groups] of features [N, D] without each group of them, 0 to the largest number.

    Each must leave 2 samples. The distance is the same from either side: to leave out groups of the
    real pictures, take the predictions for the reference.
    """
    return _Rows(reference, _checked(features)).distances_without(group)


def distance_of_statistics(reference: FrechetReference, statistics: FeatureStatistics) -> float:
    """Distance where only merged statistics are left, say of several processes."""
    root, cov = reference.sqrtcov, statistics.cov
    spectrum = scipy.linalg.eigvalsh(root @ cov @ root)
    cross = _nuclear(spectrum, min(statistics.n, reference.n) - 1)
    return _assemble(reference, statistics.mean, float(np.trace(cov)), cross)


class _Rows:
    """Features beside a reference, centred, and what of them meets its root: Z of the module's
    docstring, with the Gram matrix of its shorter side."""

    def __init__(self, reference: FrechetReference, features: Float64) -> None:
        n, width = features.shape
        if width != len(reference.mean):
            raise BenchError(
                f"features have {width} columns, the reference {len(reference.mean)}: "
                "they come from different extractors"
            )
        self.reference = reference
        self.mean = features.mean(0)
        self.centred = features - self.mean
        self.z = self.centred @ reference.sqrtcov
        self.by_sample = n < width
        self.gram = self.z @ self.z.T if self.by_sample else self.z.T @ self.z

    def distance(self) -> float:
        return self._assembled(self.centred, self.gram)

    def distances_without(self, group: NDArray[np.int64]) -> Float64:
        return np.array([self._without(group == g) for g in range(int(group.max()) + 1)])

    def _without(self, out: NDArray[np.bool_]) -> float:
        kept = ~out
        rest = self.centred[kept]
        if self.by_sample:
            gram = self.gram[np.ix_(kept, kept)]
            means = gram.mean(0)
            return self._assembled(rest, gram - means - means[:, None] + means.mean())
        gone = self.z[out]
        mean = -gone.sum(0) / len(rest)  # all rows together sum to zero
        gram = self.gram - gone.T @ gone - len(rest) * np.outer(mean, mean)
        return self._assembled(rest, gram)

    def _assembled(self, rest: Float64, gram: Float64) -> float:
        n, shift = len(rest), rest.mean(0)
        trace = (float(np.square(rest).sum()) - n * float(shift @ shift)) / (n - 1)
        rank = min(n, self.reference.n) - 1
        cross = _nuclear(scipy.linalg.eigvalsh(gram), rank) / (n - 1) ** 0.5
        return _assemble(self.reference, self.mean + shift, trace, cross)


def _nuclear(spectrum: Float64, rank: int) -> float:
    """The sum of the roots of the `rank` largest eigenvalues, given ascending."""
    return float(np.sqrt(np.clip(spectrum[-rank:], 0.0, None)).sum())  # < 0 only by rounding


def _assemble(reference: FrechetReference, mean: Float64, trace: float, cross: float) -> float:
    delta = mean - reference.mean
    traces = float(np.trace(reference.cov)) + trace
    return max(float(delta @ delta) + traces - 2.0 * cross, 0.0)  # < 0 only by rounding


def _checked(features: Float64) -> Float64:
    features = np.asarray(features, np.float64)
    if features.ndim != 2 or len(features) < 2:
        raise BenchError(f"features must be [N >= 2, D], not {features.shape}")
    require_finite(features, "features")
    return features
