"""A training's loss with each sample's noise level known: what the seed's log left out.

The stability log holds, of every sample, sigma and the squared error of D, mean over pixels. A
network that predicts the noise pays (error of the noise)^2 = (error of D)^2 / sigma^2 a pixel, so
that the loss the seed logged, summed over pixels and averaged over the batch, follows for every
preconditioning alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.cache import CachedImages
from bench.data.value_range import as_float
from bench.errors import BenchError

Float64 = NDArray[np.float64]
LEVELS = 10  # bins of noise, where it is continuous
MOST_PICTURES = 256  # whose spectrum is averaged


@dataclass(frozen=True, kw_only=True, eq=False)
class LossSeries:
    """Steps in order. sigma, cost: [steps, batch], cost of the predicted noise a pixel (its mean
    squared error: 1 is what predicting no noise costs). pixels: values of one picture."""

    sigma: Float64
    cost: Float64
    pixels: int

    @property
    def error(self) -> Float64:
        """Squared error of D, mean over pixels: [steps, batch]."""
        return np.asarray(self.cost * self.sigma**2, np.float64)

    @property
    def batch(self) -> int:
        return int(self.sigma.shape[1])

    @property
    def summed(self) -> Float64:
        """The loss of each step as the seed logged it: [steps]."""
        return np.asarray(self.pixels * self.cost.mean(1), np.float64)

    @property
    def least_noise(self) -> NDArray[np.int64]:
        """How many samples of each step drew the least noise level there is (t = 0)."""
        return np.asarray((self.sigma == self.sigma.min()).sum(1), np.int64)

    def last(self, share: float) -> LossSeries:
        """The last part of it, where the loss no longer falls steeply."""
        first = int(len(self.sigma) * (1 - share))
        return LossSeries(sigma=self.sigma[first:], cost=self.cost[first:], pixels=self.pixels)

    def by_level(self) -> list[tuple[float, float, float, float, float]]:
        """Of each noise level: sigma, share of draws, mean cost a pixel, its sd over samples, and
        share of the whole loss."""
        whole, levels = float(self.cost.sum()), np.unique(self.sigma)
        rows = []
        for sigma in levels:
            cost = self.cost[self.sigma == sigma]
            share = len(cost) / self.cost.size
            rows.append(
                (
                    float(sigma),
                    share,
                    float(cost.mean()),
                    float(cost.std()),
                    float(cost.sum()) / whole,
                )
            )
        return rows

    @property
    def noisy_cost(self) -> float:
        """Mean cost a pixel in the noisier half of the draws, where any network that has learned
        something is far below the 1 of predicting no noise."""
        return float(self.cost[self.sigma >= np.median(self.sigma)].mean())

    def rise(self) -> float:
        """By how much the cost rose from the first half to the second, at equal noise: the mean
        over the noise levels of the change in mean log cost. A steady training is at or below 0;
        .1 is a tenth more. Where noise is continuous, LEVELS bins of equal count stand for it."""
        edges = np.unique(self.sigma)
        if len(edges) > 2 * LEVELS:
            edges = np.quantile(self.sigma, np.arange(LEVELS) / LEVELS)
        bins = np.searchsorted(edges, self.sigma, side="right") - 1
        late = np.arange(len(self.sigma)) >= len(self.sigma) // 2
        late = np.broadcast_to(late[:, None], self.sigma.shape)
        log_cost = np.log(np.maximum(self.cost, 1e-300))
        changes = [
            log_cost[(bins == b) & late].mean() - log_cost[(bins == b) & ~late].mean()
            for b in range(len(edges))
            if ((bins == b) & late).any() and ((bins == b) & ~late).any()
        ]
        return float(np.mean(changes))


def series_of(log: dict[str, NDArray[Any]], batch: int, pixels: int) -> LossSeries:
    """From a trial's stability log.

    Raises:
        BenchError: it holds no noise levels.
    """
    sigma = np.asarray(log["sigma"], np.float64)
    if not len(sigma):
        raise BenchError("the trial drew no noise levels, so its loss has none to be sorted by")
    error = np.asarray(log["sq_error"], np.float64)
    whole = len(sigma) // batch * batch
    return LossSeries(
        sigma=sigma[-whole:].reshape(-1, batch),
        cost=(error / sigma**2)[-whole:].reshape(-1, batch),
        pixels=pixels,
    )


def linear_cost(data: CachedImages, sigma: float) -> float:
    """What the best linear, shift-invariant denoiser of the training pictures pays a pixel.

    The Wiener filter leaves S n / (S + n) of each frequency, n = sigma^2; over n that is
    mean S / (S + n). S is the mean power spectrum of at most MOST_PICTURES pictures about their
    mean, so the edges of a picture, which do not wrap around, count as detail.
    """
    rows = data.parts["train"]
    rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), MOST_PICTURES)).astype(np.int64)]
    pictures = as_float(data.images[rows], data.value_range).astype(np.float64)
    axes = tuple(range(2, pictures.ndim))
    deviation = pictures - pictures.mean(0)
    size = np.prod([pictures.shape[a] for a in axes])
    power = (np.abs(np.fft.fftn(deviation, axes=axes)) ** 2).mean(0) / size
    return float((power / (power + sigma**2)).mean())
