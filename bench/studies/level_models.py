"""Models of a bare loss log: levels that count samples at the least noise, and their rivals.

The explanation under test: loss = k a + rest, where k is how many samples of the batch drew the
least noise, a is what one of them adds, and the rest is what all other samples cost. k has the
distribution of bench.studies.draw_counts for a batch size B; the rest is lognormal; what k
samples add scatters with sd s sqrt(k). Parameters: a, s, the rest's two, and B.

The rivals: one lognormal (a loss that swings, without levels), Student's t of the logarithm (it
swings, and bursts), and two lognormals with a free share (it is calm, or it is not). They know
nothing of counts: neither equal spacing nor how often each level comes.

All are fitted by maximum likelihood on the same losses, so that AIC and BIC compare.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from scipy.stats import norm, t

from bench.errors import BenchError

Float64 = NDArray[np.float64]
HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)
SMALLEST = 8  # losses, below which nothing is fitted


@dataclass(frozen=True, kw_only=True)
class Fit:
    """One model at its best: natural log-likelihood, number of parameters, losses fitted."""

    model: str
    log_likelihood: float
    parameters: int
    n: int

    @property
    def aic(self) -> float:
        return 2 * self.parameters - 2 * self.log_likelihood

    @property
    def bic(self) -> float:
        return self.parameters * math.log(self.n) - 2 * self.log_likelihood


@dataclass(frozen=True, kw_only=True)
class LevelFit(Fit):
    """The counting model. level: what one sample adds (a), with its standard error; level_sd: s;
    rest_median and rest_sigma: of the lognormal; counts: the likeliest k of each loss."""

    level: float
    level_se: float
    level_sd: float
    rest_median: float
    rest_sigma: float
    counts: NDArray[np.int64]

    @property
    def parameters_found(self) -> Float64:
        rest = math.log(self.rest_median), math.log(self.rest_sigma)
        return np.array([math.log(self.level), math.log(self.level_sd), *rest])


def checked(losses: ArrayLike) -> Float64:
    """The losses as float64 [n]; BenchError for too few, or one that is not finite and above 0."""
    x = np.asarray(losses, np.float64)
    if x.ndim != 1 or len(x) < SMALLEST:
        raise BenchError(f"a model of a loss log needs {SMALLEST} losses or more, got {x.size}")
    if not (np.isfinite(x) & (x > 0)).all():
        raise BenchError("a model of a loss log needs finite losses above 0")
    return x


def fit_levels(losses: ArrayLike, probabilities: Float64, near: LevelFit | None = None) -> LevelFit:
    """The counting model with these probabilities of k = 0, 1, 2, ...

    near: a fit of the same losses with other probabilities, to start from.
    """
    x = checked(losses)
    if near is not None:
        return _level_fit(x, probabilities, [near.parameters_found])
    high = x > x.max() / 6  # a start only: the optimizer looks from several
    lows, top = (x[~high] if (~high).any() else x), float(np.median(x[high]))
    rest = (float(np.log(lows).mean()), max(float(np.log(lows).std()), 0.1))
    starts = [
        np.array([math.log(top / k), math.log(top / k * spread), rest[0], math.log(rest[1])])
        for k in (1, 2, 3)
        for spread in (0.05, 0.2)
    ]
    return _level_fit(x, probabilities, starts)


def _level_fit(x: Float64, probabilities: Float64, starts: Sequence[Float64]) -> LevelFit:
    best = _least(lambda p: -_total(x, probabilities, p), starts)
    terms = _terms(x, probabilities, best)
    counts = np.asarray(terms.argmax(1), np.int64)
    level, spread = math.exp(best[0]), math.exp(best[1])
    seen = max(int(counts.sum()), 1)
    return LevelFit(
        model="counts",
        log_likelihood=_log_sum(terms),
        parameters=5,
        n=len(x),
        level=level,
        level_se=spread / math.sqrt(seen),
        level_sd=spread,
        rest_median=math.exp(best[2]),
        rest_sigma=math.exp(best[3]),
        counts=counts,
    )


def _total(x: Float64, probabilities: Float64, p: Float64) -> float:
    return _log_sum(_terms(x, probabilities, p))


def _terms(x: Float64, probabilities: Float64, p: Float64) -> Float64:
    """log P(k) + log density of x given k: [n, K]. p: log a, log s, mean and log sd of log rest.

    Past k = 0 the rest, small there, adds its mean and variance to a normal.
    """
    level, spread, mu, sigma = math.exp(p[0]), math.exp(p[1]), p[2], math.exp(p[3])
    mean = math.exp(min(mu + sigma**2 / 2, 300.0))
    variance = min(math.expm1(min(sigma**2, 300.0)) * mean**2, 1e300)
    k = np.arange(1, len(probabilities))
    with np.errstate(divide="ignore"):
        weight = np.log(probabilities)
    log_x = np.log(x)
    none = (_log_normal(log_x, mu, sigma) - log_x)[:, None]  # the lognormal's density
    some = _log_normal(x[:, None], k * level + mean, np.sqrt(k * spread**2 + variance))
    return np.asarray(np.concatenate([none, some], 1) + weight, np.float64)


def _log_normal(x: Float64, mean: Any, sd: Any) -> Float64:
    """The normal's log density, without what scipy's checks cost in an optimizer's inner loop."""
    sd = np.maximum(sd, 1e-150)
    return np.asarray(-0.5 * ((x - mean) / sd) ** 2 - np.log(sd) - HALF_LOG_2PI, np.float64)


def _log_sum(terms: Float64) -> float:
    """The sum over rows of log sum exp of a row."""
    most = terms.max(1)
    return float((most + np.log(np.exp(terms - most[:, None]).sum(1))).sum())


def fit_rivals(losses: ArrayLike) -> tuple[Fit, ...]:
    """The models without counts, each at its best."""
    x = checked(losses)
    y = np.log(x)
    jacobian = -float(y.sum())  # densities are of the loss, not of its logarithm
    one = float(norm.logpdf(y, y.mean(), max(float(y.std()), 1e-6)).sum()) + jacobian
    freedom, place, scale = t.fit(y)
    heavy = float(t.logpdf(y, freedom, place, scale).sum()) + jacobian
    cut = float(y.min() + y.max()) / 2
    low, high = y[y <= cut], y[y > cut]
    start = [low.mean(), math.log(low.std() + 0.1), high.mean(), math.log(high.std() + 0.1), 0.0]
    two = -_least(lambda p: -_two(y, p), [np.array(start)], value=True) + jacobian
    return (
        Fit(model="one lognormal", log_likelihood=one, parameters=2, n=len(x)),
        Fit(model="log Student t", log_likelihood=heavy, parameters=3, n=len(x)),
        Fit(model="two lognormals", log_likelihood=float(two), parameters=5, n=len(x)),
    )


def _two(y: Float64, p: Float64) -> float:
    """A spread of at least .01 keeps one loss from being a component of its own."""
    share = 1 / (1 + math.exp(float(np.clip(p[4], -30, 30))))
    first = _log_normal(y, p[0], math.exp(p[1]) + 0.01) + math.log(share)
    second = _log_normal(y, p[2], math.exp(p[3]) + 0.01) + math.log1p(-share)
    return float(np.logaddexp(first, second).sum())


def _least(
    cost: Callable[[Float64], float], starts: Sequence[Float64], *, value: bool = False
) -> Float64:
    """Where the cost is least from the best of the starts; or how much it is there."""
    found = [
        minimize(cost, start, method="Nelder-Mead", options={"maxiter": 4000, "maxfev": 4000})
        for start in starts
    ]
    best = min(found, key=lambda result: float(result.fun))
    return np.asarray(best.fun if value else best.x, np.float64)


def frequencies_p(
    counts: NDArray[np.int64], probabilities: Float64, seed: int = 0, draws: int = 20_000
) -> float:
    """How often draws of these probabilities fit no better than `counts` do: a Monte-Carlo p of
    the likelihood-ratio statistic G, exact in small samples where chi-squared is not."""
    shares = np.clip(probabilities, 1e-300, None) / probabilities.sum()
    seen = np.bincount(counts, minlength=len(shares))[: len(shares)]
    drawn = np.random.default_rng(seed).multinomial(len(counts), shares, size=draws)
    return float((1 + (_g(drawn, shares) >= _g(seen, shares) - 1e-9).sum()) / (1 + draws))


def _g(seen: NDArray[np.int64], shares: Float64) -> Float64:
    expected = seen.sum(-1, keepdims=True) * shares
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(seen > 0, seen * np.log(seen / expected), 0.0)
    return np.asarray(2 * terms.sum(-1), np.float64)


def order_p(
    steps: NDArray[np.int64], high: NDArray[np.bool_], seed: int = 0, draws: int = 20_000
) -> float:
    """Whether high losses come in runs, as they do in a training that goes off its course: the
    share of random orders with at least as many neighbouring steps that are both high."""
    order = np.argsort(steps)
    at, flags = steps[order], high[order]
    neighbours = np.flatnonzero(np.diff(at) == 1)
    rng = np.random.default_rng(seed)
    seen = int((flags[neighbours] & flags[neighbours + 1]).sum())
    shuffled = rng.permuted(np.tile(flags, (draws, 1)), axis=1)
    both = (shuffled[:, neighbours] & shuffled[:, neighbours + 1]).sum(1)
    return float((1 + (both >= seen).sum()) / (1 + draws))
