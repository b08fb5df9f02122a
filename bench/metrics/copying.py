"""Whether samples are copies: how near they come to a training picture, against real pictures.

A picture's nearness is log d_1 / d_2: d_1 is its distance to the nearest training subject, d_2
that to the second nearest or to the nearest held-out subject, whichever is further. A copy is next
to one training picture and to no other, so its nearness is far below 0; a smooth, poor sample,
which is near to everything, has one of about 0. Pictures are as near as the nearer of themselves
and their mirror images. Real pictures say how near honest ones come: each against all subjects but
its own, and of a subject the nearest picture alone: the test errs on the honest side.

The p-value is exact for samples that are independent draws of what real subjects are draws of: how
many of n samples come before the k-th nearest of m subjects is negative hypergeometric. Natural
twins among the data are in both, so they are no alarm; k is 1, for power, and 3 or more, so that
one pair of them does not hide copies. Samples near to one and the same picture count once: a
collapsed model, whose samples are all alike, is no independent evidence (nor is it the best).
Authenticity is that of Alaa et al. 2022 (arXiv 2102.08921, section 3.3), with "the nearest other
picture" taken from other subjects, since frames of one clip are all but copies of each other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import hypergeom

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]
NOBODY = -1  # the subject of a picture that is nobody's
NEAREST, TWINS = 0.01, 3  # of subjects: as near as this share, or so many, is near
ROWS = 256  # pictures whose distances are held at a time
FLOOR = 1e-3  # of the features' spread: distances below are all the same


@dataclass(frozen=True, kw_only=True, eq=False)
class Known:
    """Features of the pictures of some subjects, as they are and mirrored, sorted by subject.

    features: [2 n, D]. pictures: which of the n pictures each row is of. subjects: ascending;
    starts: where each one's rows begin.
    """

    features: Float64
    pictures: Int64
    subjects: Int64
    starts: Int64

    @classmethod
    def of(cls, features: Float64, mirrored: Float64, owners: Int64) -> Known:
        """Features [n, D] of the pictures and of their mirror images, and whose they are, [n]."""
        order = np.argsort(np.concatenate([owners, owners]), kind="stable")
        names, starts = np.unique(np.concatenate([owners, owners])[order], return_index=True)
        return cls(
            features=np.concatenate([features, mirrored])[order],
            pictures=order % len(features),
            subjects=names,
            starts=starts.astype(np.int64),
        )

    def nearest(self, features: Float64, owners: Int64) -> tuple[Float64, Float64, Int64]:
        """Of pictures [n, D]: the distances to the nearest and second nearest subject that is not
        their own, infinite where there is none, and the picture of the nearest; each [n]."""
        first, second = np.full(len(features), np.inf), np.full(len(features), np.inf)
        picture = np.zeros(len(features), np.int64)
        squares = np.einsum("nd,nd->n", self.features, self.features)
        owner_of_row = np.repeat(self.subjects, np.diff([*self.starts, len(self.features)]))
        for begin in range(0, len(features), ROWS):
            part = slice(begin, begin + ROWS)
            block = features[part]
            distance = squares + np.einsum("nd,nd->n", block, block)[:, None]
            distance -= 2 * (block @ self.features.T)
            distance[owner_of_row == owners[part, None]] = np.inf
            picture[part] = self.pictures[distance.argmin(axis=1)]
            by_subject = np.minimum.reduceat(distance, self.starts, axis=1)
            by_subject.partition(min(1, by_subject.shape[1] - 1), axis=1)
            first[part] = by_subject[:, 0]
            if by_subject.shape[1] > 1:
                second[part] = by_subject[:, 1]
        return _root(first), _root(second), picture

    def mirror_is_nearer(self, features: Float64, picture: int) -> bool:
        """Whether features [D] are nearer to a picture's mirror image than to itself."""
        plain, mirrored = self.features[np.flatnonzero(self.pictures == picture)]
        return bool(np.linalg.norm(mirrored - features) < np.linalg.norm(plain - features))


def _root(squares: Float64) -> Float64:
    root: Float64 = np.sqrt(np.maximum(squares, 0.0))  # < 0 only by rounding
    return root


@dataclass(frozen=True, kw_only=True, eq=False)
class Nearness:
    """How near each of n pictures comes to a training picture of another: the distance, the log
    ratio of the module, and which training picture that is."""

    distance: Float64
    log_ratio: Float64
    picture: Int64


def nearness(features: Float64, owners: Int64, train: Known, held_out: Known) -> Nearness:
    """Of pictures [n, D] of these subjects (NOBODY: of none that is known)."""
    first, second, picture = train.nearest(features, owners)
    held = held_out.nearest(features, owners)[0]
    further = np.maximum(*(np.where(np.isfinite(d), d, 0.0) for d in (second, held)))
    nearer = np.where(np.isfinite(first), first, further)
    floor = FLOOR * (float(np.sqrt(train.features.var(axis=0).sum())) or 1.0)
    ratio: Float64 = np.log(nearer + floor) - np.log(further + floor)
    return Nearness(distance=first, log_ratio=ratio, picture=picture)


def nearest_by_subject(values: Float64, subjects: Int64) -> Float64:
    """The least value of each subject, ascending."""
    names, place = np.unique(subjects, return_inverse=True)
    least = np.full(len(names), np.inf)
    np.minimum.at(least, place, values)
    return np.sort(least)


def near_rank(subjects: int) -> int:
    """Which of the subjects, from the nearest, says what is near."""
    return min(subjects, max(TWINS, 1 + int(NEAREST * subjects)))


def copied_share(samples: Nearness, null: Float64) -> float:
    """Share of samples nearer than what is near for the subjects `null` (ascending)."""
    return float((samples.log_ratio < null[near_rank(len(null)) - 1]).mean())


def copied_p(samples: Nearness, null: Float64) -> float:
    """Probability that so many of the samples, or more, come before the nearest of the subjects
    `null` (ascending), or before the one that says what is near: twice the smaller of both.

    Samples that are near to the same training picture count once.
    """
    ranks = sorted({1, near_rank(len(null))})
    tails = []
    for rank in ranks:
        before = np.unique(samples.picture[samples.log_ratio < null[rank - 1]])
        tails.append(_tail(len(before), len(samples.picture), rank, len(null)))
    return min(1.0, len(ranks) * min(tails))


def _tail(before: int, samples: int, rank: int, subjects: int) -> float:
    """P(at least `before` of the samples come before the rank-th subject) if all are exchangeable:
    of the first before + rank - 1 at most rank - 1 are subjects."""
    if before == 0:
        return 1.0
    drawn = before + rank - 1
    return float(hypergeom.cdf(rank - 1, samples + subjects, subjects, drawn))


def authentic_share(samples: Nearness, others: Float64) -> float:
    """Share of samples further from their nearest training picture than that is from the nearest
    of another subject; `others`: that distance of each training picture."""
    return float((samples.distance > others[samples.picture]).mean())
