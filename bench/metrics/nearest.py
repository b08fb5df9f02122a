"""How two sets of features cover each other: precision, recall, density, coverage.

Kynkäänniemi et al. 2019 (arXiv 1904.06991): around each sample lies a ball to its k-th nearest
neighbour in its own set. Precision is the share of predictions in a real ball, recall the share of
real samples in a ball of predictions. Naeem et al. 2020 (arXiv 2002.09797): density is the mean
number of real balls that a prediction lies in, over k; coverage the share of real balls with a
prediction in them. Squared distances in float64, a stretch of rows at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.metrics.jackknife import FEWEST, Float64

ROWS = 1024  # of a matrix of distances in memory at a time
HALVES = 20  # half-samples behind an error
SHARES = ("precision", "recall", "density", "coverage")


@dataclass(frozen=True, kw_only=True)
class Nearest:
    """The four shares, and their standard errors: those of drawing other predictions, the real
    samples staying as they are; None with fewer than 10 predictions.

    Of precision and density, means over independent predictions given the real balls, the error is
    the mean's own. Recall and coverage jump as single predictions go, which a jackknife of small
    blocks overstates; theirs is the spread over random halves of the predictions (the delete-d
    jackknife of Shao and Wu 1989, d half of them). In simulations it is right within a third, but
    up to twice too large where coverage is above .95.
    """

    values: dict[str, float]
    errors: dict[str, float] | None


def radii(features: Float64, k: int) -> Float64:
    """Squared distance [n] of each sample to its k-th nearest other one."""
    if len(features) <= k:
        raise BenchError(
            f"{k} nearest neighbours need {k + 1} samples or more, not {len(features)}"
        )
    found = [np.partition(d, k, axis=1)[:, k] for _, d in _stretches(features, features)]
    return np.concatenate(found)  # itself is among them, at distance 0


def nearest(
    real: Float64,
    real_radii: Float64,
    predicted: Float64,
    k: int,
    orders: Sequence[NDArray[np.int64]] = (),
) -> Nearest:
    """The shares of predictions [m, D] beside real samples [n, D] and their `radii`.

    orders: random orders of the predictions, whose first halves are taken; none: no errors.
    """
    if real.shape[1] != predicted.shape[1]:
        raise BenchError(f"features have {predicted.shape[1]} columns, the real {real.shape[1]}")
    m = len(predicted)
    balls = np.concatenate([(d <= real_radii).sum(1) for _, d in _stretches(predicted, real)])
    inside, density = (balls > 0).astype(float), balls / k
    values = {
        "precision": float(inside.mean()),
        "recall": _recall(real, predicted, k),
        "density": float(density.mean()),
        "coverage": _coverage(real, real_radii, predicted),
    }
    if not orders or m < FEWEST or m // 2 <= k:
        return Nearest(values=values, errors=None)
    spread: dict[str, list[float]] = {"recall": [], "coverage": []}
    part = m // 2
    for order in orders:
        half = predicted[order[:part]]
        spread["recall"].append(_recall(real, half, k))
        spread["coverage"].append(_coverage(real, real_radii, half))
    scale = (part / (m - part)) ** 0.5
    errors = {
        "precision": float(inside.std(ddof=1)) / m**0.5,
        "density": float(density.std(ddof=1)) / m**0.5,
        **{name: float(np.std(of, ddof=1)) * scale for name, of in spread.items()},
    }
    return Nearest(values=values, errors={name: errors[name] for name in SHARES})


def _recall(real: Float64, predicted: Float64, k: int) -> float:
    reach = radii(predicted, k)
    return _share((d <= reach).any(1) for _, d in _stretches(real, predicted))


def _coverage(real: Float64, real_radii: Float64, predicted: Float64) -> float:
    found = _stretches(real, predicted)
    return _share(d.min(1) <= real_radii[stretch] for stretch, d in found)


def _share(flags: Iterator[Any]) -> float:
    return float(np.concatenate(list(flags)).mean())


def _stretches(x: Float64, y: Float64) -> Iterator[tuple[slice, Float64]]:
    """Squared distances of some rows of x to all of y, by the product of both less y's mean."""
    centre = y.mean(0)
    y = y - centre
    squares = np.square(y).sum(1)
    for start in range(0, len(x), ROWS):
        stretch = slice(start, start + ROWS)
        rows = x[stretch] - centre
        apart = np.square(rows).sum(1)[:, None] + squares - 2 * rows @ y.T
        yield stretch, np.maximum(apart, 0)  # < 0 only by rounding
