"""Multiple comparisons with the best (Hsu 1981): who may be it, how far behind others are.

For each entry the hypothesis "it is the best" is tested against all others at once, one-sided: the
critical value is that of a comparison with a control (Dunnett), since only the true best has to
pass. So with confidence 1 - alpha the best is in the set, however many there are, and nothing is
paid for the order of the rest. From the same event follow bounds that hold for every entry at
once: none is further behind the best than its bound says. What an earlier look at fewer seeds left
out stays out (leaderboards.looks).

Errors: each entry's own (with its degrees of freedom), a block for each training seed, and what
the measurement shares between entries (the same cases and noise), which all cancel where two
entries share them. The joint normal critical value is an integral over what all comparisons of one
control have in common (Dunnett 1955): exact where that is alike for all, else never too small
(Slepian 1962), and as good at the small levels of many looks. Each pair's own degrees of freedom
(Welch-Satterthwaite) enter through Student's t at the same level.

Products are numpy's own (einsum without BLAS): a sweep's end draws its board in two threads, right
after Ray forked, and OpenBLAS then starts its threads again, which two callers at once can block.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtrit

ALPHA = 0.05
DRAWS = 4000  # of the errors, for the chances
HALVINGS = 14  # of the interval between one comparison's critical value and Bonferroni's
NODES = np.linspace(-8.0, 8.0, 161)  # of a standard normal variable, and their weights
WEIGHTS = np.exp(-(NODES**2) / 2) / np.exp(-(NODES**2) / 2).sum()

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Errors:
    """Errors of n compared scores; lower is better.

    x: scores on the compared scale, [n]. own: variance of each one's own error, [n], with df, [n].
    seeds: share of each training seed in an entry's mean, [n, seeds]; block: variance of one
    seed's part. common: how each score moves with each of what the measurement shares, [n, shared],
    in standard deviations, so that common @ common.T is a covariance, on common_df degrees of
    freedom; None: nothing.
    """

    x: Array
    own: Array
    df: Array
    seeds: Array
    block: float = 0.0
    common: Array | None = None
    common_df: float = np.inf

    def pair_variance(self) -> Array:
        """Variance of x[i] - x[j], [n, n]."""
        alone = (self.own[:, None] + self.own[None]) * (1 - np.eye(len(self.x)))
        return alone + _of_differences(self._shared())

    def pair_df(self) -> Array:
        """Welch-Satterthwaite's degrees of freedom of a pair, [n, n]; the block's part is known."""
        variance = self.pair_variance()
        parts = np.where(np.isinf(self.df), 0.0, self.own**2 / self.df)
        uncertain = parts[:, None] + parts[None]
        if self.common is not None and self.common_df > 0:
            uncertain = uncertain + _of_differences(_outer(self.common)) ** 2 / self.common_df
        with np.errstate(divide="ignore", invalid="ignore"):
            df = variance**2 / uncertain
        return np.where(np.isnan(df), np.inf, np.maximum(df, 1.0))

    def shared_moves(self) -> Array:
        """How each score moves with all that entries share, [n, shared], in standard deviations."""
        seeds = np.sqrt(self.block) * self.seeds
        return seeds if self.common is None else np.hstack([seeds, self.common])

    def _shared(self) -> Array:
        return _outer(self.shared_moves())

    def standard_errors(self) -> Array:
        """Of each x alone, everything in it, [n]."""
        errors: Array = np.sqrt(self.own + np.diag(self._shared()))
        return errors

    def draws(self, count: int, rng: np.random.Generator, own_scale: Array | float = 1.0) -> Array:
        """Errors of x, [count, n]; each one's own times `own_scale`."""
        n = len(self.x)
        drawn: Array = rng.standard_normal((count, n)) * np.sqrt(self.own) * own_scale
        if self.block:
            drawn += np.sqrt(self.block) * _moved(self.seeds, count, rng)
        if self.common is not None:
            drawn += _moved(self.common, count, rng)
        return drawn


def _outer(moves: Array) -> Array:
    """moves @ moves.T"""
    product: Array = np.einsum("is,js->ij", moves, moves)
    return product


def _moved(moves: Array, count: int, rng: np.random.Generator) -> Array:
    """Draws [count, n] of what moves each of n entries by `moves` [n, shared]."""
    drawn: Array = np.einsum("cs,ns->cn", rng.standard_normal((count, moves.shape[1])), moves)
    return drawn


def _of_differences(covariance: Array) -> Array:
    """Variance of the difference of each two, [n, n]."""
    diagonal = np.diag(covariance)
    both: Array = np.maximum(diagonal[:, None] + diagonal[None] - 2 * covariance, 0.0)
    return both


@dataclass(frozen=True, kw_only=True)
class WithBest:
    """What the comparison says of each of n entries.

    may_be_best: [n] bool. behind: with confidence 1 - alpha, for all that may be best at once, none
    is further from the best than this on the compared scale, [n].
    """

    may_be_best: NDArray[np.bool_]
    behind: Array


def with_best(errors: Errors, alpha: float = ALPHA, earlier: Array | None = None) -> WithBest:
    """Compare every entry with the best; `earlier`: its bounds by earlier looks, [n], infinite for
    those that they left out; None: there was none.

    One entry: it is the best. Where this look leaves none of those that are left, the looks
    contradict one another and all of both may be best.
    """
    n = len(errors.x)
    if n == 1:
        return WithBest(may_be_best=np.ones(1, bool), behind=np.zeros(1))
    error = np.sqrt(errors.pair_variance())
    gap = errors.x[:, None] - errors.x[None]  # positive: i is worse
    possible = np.all(gap <= critical(errors, alpha, np.zeros(n, bool)) * error, axis=1)
    allowance = critical(errors, alpha, possible) * error  # [i, j]: of control i against j
    may_be_best = np.all(gap <= allowance, axis=1)
    before = np.full(n, np.inf)
    if earlier is not None:
        left = np.isfinite(earlier)
        if (may_be_best & left).any():
            may_be_best, before = may_be_best & left, earlier
        else:
            may_be_best = may_be_best | left
    # if i is the best, nobody is further behind it than seen and allowed for
    reach = np.where(may_be_best[:, None], allowance - gap, -np.inf)
    np.fill_diagonal(reach, 0.0)
    behind = np.minimum(np.maximum(reach[may_be_best].max(axis=0), 0.0), before)
    return WithBest(may_be_best=may_be_best, behind=behind)


def critical(
    errors: Errors, alpha: float = ALPHA, controls: NDArray[np.bool_] | None = None
) -> Array:
    """Critical values of control i against j, [n, n]: normal ones of all j at once, then
    Student's t at their level. Bonferroni's, which are no smaller, for others than `controls`, [n];
    None: there are none."""
    n = len(errors.x)
    error = np.sqrt(errors.pair_variance())
    normal = np.full(n, -ndtri(alpha / (n - 1)))
    for i in range(n) if controls is None else np.flatnonzero(controls):
        normal[i] = _joint_normal(errors, error, int(i), alpha)
    level = ndtr(-normal)[:, None]
    df = errors.pair_df()
    exact: Array = np.where(
        np.isinf(df), normal[:, None], -stdtrit(np.where(np.isinf(df), 1.0, df), level)
    )
    return exact


def _joint_normal(errors: Errors, error: Array, i: int, alpha: float) -> float:
    """c with P(D_j <= c error_ij for all j) = 1 - alpha, D_j the error of x_i - x_j.

    Each two D_j have a covariance of at least `both`: with exactly that, D_j is sqrt(both) Z and a
    part of its own, and the probability an integral over Z.
    """
    others = np.flatnonzero(error[i] > 0)  # equal in every error: no test
    if not len(others):
        return 0.0
    own = errors.own[i]
    moves = errors.shared_moves()
    apart = moves[i] - moves[others]
    shared = _outer(apart)
    np.fill_diagonal(shared, np.inf)
    least = float(shared.min()) if len(others) > 1 else 0.0
    sizes = error[i, others]
    both = min(max(own + least, 0.0), float((sizes**2).min()) * (1 - 1e-9))
    alone = np.sqrt(sizes**2 - both)[:, None]

    def missed(c: float) -> float:
        inside = ndtr((c * sizes[:, None] - np.sqrt(both) * NODES) / alone).prod(axis=0)
        return float(1 - (WEIGHTS * inside).sum())

    low, high = float(-ndtri(alpha)), float(-ndtri(alpha / len(others)))  # of one; Bonferroni's
    for _ in range(HALVINGS if len(others) > 1 else 0):
        middle = (low + high) / 2
        low, high = (middle, high) if missed(middle) > alpha else (low, middle)
    return high


def chances(errors: Errors) -> Array:
    """How often each entry is the best when its error is drawn again around what was seen."""
    rng = np.random.default_rng(1)
    finite = np.where(np.isinf(errors.df), 1e9, errors.df)
    scale = np.sqrt(finite / rng.chisquare(finite, size=(DRAWS, len(finite))))
    best = (errors.x + errors.draws(DRAWS, rng, own_scale=scale)).argmin(axis=1)
    chance: Array = np.bincount(best, minlength=len(errors.x)) / DRAWS
    return chance
