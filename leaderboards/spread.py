"""Spread between training seeds: moderated by cell, with what all seeds have in common taken out.

Scores are compared as logarithms on the ratio scale, where a spread is a share of the score, and as
they are on the difference scale. The variance of one training holds its sampling error too; the
two are shown apart, and compared together.

A cell's own replicates are few. They are moderated as limma does (Smyth 2004): the variances of all
cells with replicates say where variances lie and how far they scatter (a scaled F distribution, fit
by its logarithm's moments), and each cell's is drawn towards that in proportion to what it knows
itself. Where enough cells are known the centre may rise with the score: what is worse is noisier.
Nothing is borrowed from other data, budgets, protocols or cells: where a cell has no replicates a
stated prior holds (or that centre, if it is larger), of few degrees of freedom, which does not
shrink with the number of samples.

Trials of one seed share their weights' draw and the order of their pictures, so that good seeds
are good for all: entries on the same seeds are compared without that part (a random block).
What trains nothing has no spread but its sampling error, and lends none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma, polygamma

from leaderboards.entries import Entry

PRIOR_SD = 0.2  # of one training, relative: between the .08 of EDM cells and the .49 of VP and VE
PRIOR_DF = 3.0
FIT_CELLS = 3  # cells with replicates from which their variances' scatter is read
TREND_CELLS = 6  # and from which a trend with the score is
ANY = "any cell"


@dataclass(frozen=True, kw_only=True)
class CellSpread:
    """Variance of one training of a cell on the compared scale, sampling in it, what all seeds
    share left out."""

    variance: float
    df: float
    replicated: bool  # the cell's own replicates are in it


@dataclass(frozen=True, kw_only=True)
class SeedSpread:
    """What is known of training spread in one ranking.

    kind: measured (replicates here), assumed (a stated prior) or none (nothing is trained).
    by_entry: of each entry, by id. block: variance that trainings from one seed share.
    relative: variances are of logarithms (ratio scale), else in the score's unit, squared.
    sd: of one training, the typical one, sampling left out; df: of the pool.
    """

    kind: str
    sd: float
    df: float
    source: str
    relative: bool
    by_entry: dict[str, CellSpread]
    block: float = 0.0

    def of(self, entry: Entry) -> CellSpread:
        return self.by_entry[entry.entry_id]


def is_relative(entries: Sequence[Entry]) -> bool:
    """Whether scores are compared as logarithms: on the ratio scale, if all are positive."""
    if not entries or entries[0].first.score_measure.scale != "ratio":
        return False
    return all(score > 0 for entry in entries for score in entry.scores)


def compared(entry: Entry, relative: bool) -> NDArray[np.float64]:
    """The entry's scores, one a seed, on the compared scale."""
    scores = np.array(entry.scores, float)
    return np.log(scores) if relative else scores


def sampling_variance(entry: Entry, relative: bool) -> float:
    """Of drawing samples again, of one training's score on the compared scale: the mean over its
    seeds; 0 where it is unknown, or the error is that of choosing cases, which all have alike."""
    rows = [
        row
        for row in entry.scored
        if row.score_se is not None and row.score is not None and "cases" not in row.left_out
    ]
    if not rows:
        return 0.0
    units = [abs(row.score or 1.0) if relative else 1.0 for row in rows]
    errors = [(row.score_se or 0.0) / unit for row, unit in zip(rows, units, strict=True)]
    return math.fsum(e * e for e in errors) / len(errors)


def seed_spread(entries: Sequence[Entry]) -> SeedSpread:
    """What is known of the training spread of these entries, all scored, all of one protocol."""
    relative = is_relative(entries)
    by_entry = {
        entry.entry_id: CellSpread(
            variance=sampling_variance(entry, relative), df=math.inf, replicated=True
        )
        for entry in entries
        if not entry.first.trained
    }
    networks = [entry for entry in entries if entry.entry_id not in by_entry]
    if not networks:
        return SeedSpread(
            kind="none", sd=0.0, df=math.inf, source="nothing is trained", relative=relative,
            by_entry=by_entry,
        )  # fmt: skip
    noise = float(np.mean([sampling_variance(entry, relative) for entry in networks]))
    replicated = [entry for entry in networks if len(entry.scores) >= 2]
    stated = _stated_sd(networks, relative)
    if not replicated:
        return _assumed(networks, by_entry, relative, stated)

    residuals = _without_blocks(replicated, relative)
    known: dict[str, tuple[float, float, float]] = {}  # cell -> sum of squares, df, mean level
    for entry, (squares, df) in zip(replicated, residuals.by_entry, strict=True):
        total, cell_df, level = known.get(_cell(entry), (0.0, 0.0, 0.0))
        at = float(np.mean(compared(entry, relative)))
        share = df / (cell_df + df) if df else 0.0
        known[_cell(entry)] = (total + squares, cell_df + df, level + share * (at - level))
    known = {cell: value for cell, value in known.items() if value[1] > 1e-6}
    prior = _fit_prior(
        np.array([squares / df for squares, df, _ in known.values()]),
        np.array([df for _, df, _ in known.values()]),
        np.array([level for _, _, level in known.values()]),
        sign=networks[0].first.score_measure.sign,
        stated=stated**2 + noise if relative else None,
    )
    for entry in networks:
        floor = sampling_variance(entry, relative)
        centre = prior.at(float(np.mean(compared(entry, relative))))
        if _cell(entry) not in known:
            by_entry[entry.entry_id] = CellSpread(
                variance=max(stated**2 + floor, centre), df=PRIOR_DF, replicated=False
            )
            continue
        squares, df, _ = known[_cell(entry)]
        fixed = math.isinf(prior.df)
        variance = centre if fixed else (prior.df * centre + squares) / (prior.df + df)
        by_entry[entry.entry_id] = CellSpread(
            variance=max(variance, floor), df=min(prior.df + df, prior.total_df), replicated=True
        )
    pooled = residuals.squares / residuals.df
    seeds = f"{len(replicated)} replicated {'entry' if len(replicated) == 1 else 'entries'}"
    return SeedSpread(
        kind="measured",
        sd=math.sqrt(max(0.0, pooled + residuals.block - noise)),
        df=residuals.df,
        source=f"{seeds} here",
        relative=relative,
        by_entry=by_entry,
        block=residuals.block,
    )


def _cell(entry: Entry) -> str:
    return " ".join(f"{axis}={choice}" for axis, choice in sorted(entry.first.cell.items())) or ANY


def _stated_sd(networks: Sequence[Entry], relative: bool) -> float:
    """What holds where nothing is known: a share of the score; on the difference scale what lies
    between entries, of which another seed can hardly be more."""
    if relative:
        return PRIOR_SD
    scores = np.array([entry.score for entry in networks], float)
    low, high = np.quantile(scores, [0.25, 0.75])
    return max(float(high - low) / 1.349, PRIOR_SD / 10 * abs(float(scores.mean())))


def _assumed(
    networks: Sequence[Entry], by_entry: dict[str, CellSpread], relative: bool, sd: float
) -> SeedSpread:
    for entry in networks:
        by_entry[entry.entry_id] = CellSpread(
            variance=sd**2 + sampling_variance(entry, relative), df=PRIOR_DF, replicated=False
        )
    return SeedSpread(
        kind="assumed",
        sd=sd,
        df=PRIOR_DF,
        source="assumed: nothing was trained twice to the end",
        relative=relative,
        by_entry=by_entry,
    )


@dataclass(frozen=True, kw_only=True)
class _Residuals:
    """Sums of squares within entries once seeds in common are taken out, and their df."""

    by_entry: tuple[tuple[float, float], ...]
    squares: float
    df: float
    block: float


def _without_blocks(replicated: Sequence[Entry], relative: bool) -> _Residuals:
    """Least squares on entries and on the seeds that two or more of them share.

    The block's variance is what the seeds' effects take off the spread within entries, by the
    analysis of variance; never below zero.
    """
    values = [compared(entry, relative) for entry in replicated]
    seeds = [[row.seed for row in entry.scored] for entry in replicated]
    y = np.concatenate([v - v.mean() for v in values])
    of_entry = np.repeat(np.arange(len(values)), [len(v) for v in values])
    within = float(y @ y)
    within_df = float(len(y) - len(values))
    every = [seed for of in seeds for seed in of]
    shared = sorted({seed for seed in every if every.count(seed) > 1})
    used = np.zeros(len(y))
    residual, df = y, within_df
    if len(replicated) > 1 and len(shared) > 1:
        columns = np.array([[float(seed == s) for s in shared] for seed in every])
        for k in range(len(values)):  # entries have effects of their own
            columns[of_entry == k] -= columns[of_entry == k].mean(axis=0)
        basis = orthonormal(columns)
        if within_df - basis.shape[1] >= 1:
            residual = y - np.einsum("rs,s->r", basis, np.einsum("rs,r->s", basis, y))
            used = (basis**2).sum(axis=1)
            df = within_df - basis.shape[1]
    sums = []
    for k, v in enumerate(values):
        mine = of_entry == k
        own_df = len(v) - 1 - float(used[mine].sum())
        sums.append((float(residual[mine] @ residual[mine]), max(own_df, 0.0)))
    squares = float(residual @ residual)
    block = max(0.0, within / within_df - squares / df) if df < within_df else 0.0
    return _Residuals(by_entry=tuple(sums), squares=squares, df=df, block=block)


def orthonormal(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """A basis of what some columns [rows, k] span; products without BLAS, see leaderboards.best."""
    sizes, vectors = np.linalg.eigh(np.einsum("ri,rj->ij", columns, columns))
    kept = sizes > 1e-12 * max(1.0, float(sizes.max()))
    basis: NDArray[np.float64] = np.einsum(
        "ri,ik->rk", columns, vectors[:, kept] / np.sqrt(sizes[kept])
    )
    return basis


@dataclass(frozen=True, kw_only=True)
class _Prior:
    """The centre of the cells' variances, perhaps rising with the score, and its df."""

    log_variance: float
    slope: float
    mean_level: float
    low: float
    high: float
    df: float
    total_df: float

    def at(self, level: float) -> float:
        within = min(max(level, self.low), self.high)
        return math.exp(self.log_variance + self.slope * (within - self.mean_level))


def _fit_prior(
    variances: NDArray[np.float64],
    df: NDArray[np.float64],
    levels: NDArray[np.float64],
    sign: float,
    stated: float | None,
) -> _Prior:
    """Smyth's moments of log variances; with enough cells, on a line that rises with the score;
    with too few, what they say and, where there is one, the stated variance."""
    total = float(df.sum())
    pooled = float((variances * df).sum() / total)
    if len(variances) < FIT_CELLS:
        # without one, what lies between entries says little of what lies between seeds
        prior, more = (pooled, 0.0) if stated is None else (stated, PRIOR_DF)
        both = (PRIOR_DF * prior + total * pooled) / (PRIOR_DF + total)
        return _Prior(
            log_variance=math.log(max(both, 1e-300)), slope=0.0, mean_level=0.0, low=0.0, high=0.0,
            df=PRIOR_DF, total_df=total + more,
        )  # fmt: skip
    floor = max(pooled * 1e-4, 1e-300)
    z = np.log(np.maximum(variances, floor)) - digamma(df / 2) + np.log(df / 2)
    noise = polygamma(1, df / 2)
    mean_level = float(levels.mean())
    slope, used = 0.0, 1
    if len(z) >= TREND_CELLS:
        apart = levels - mean_level
        spread = float((apart**2).sum())
        if spread > 0:
            slope = sign * max(0.0, sign * float((apart * z).sum() / spread))
            used = 2 if slope else 1
    flat = z - slope * (levels - mean_level)
    centre = float(flat.mean())
    scatter = float(((flat - centre) ** 2).sum() / (len(z) - used) - noise.mean())
    if scatter <= 0:
        return _Prior(
            log_variance=math.log(max(pooled, 1e-300)) if not slope else centre, slope=slope,
            mean_level=mean_level, low=float(levels.min()), high=float(levels.max()), df=math.inf,
            total_df=total,
        )  # fmt: skip
    prior_df = 2 * _inverse_trigamma(scatter)
    log_variance = centre + float(digamma(prior_df / 2)) - math.log(prior_df / 2)
    return _Prior(
        log_variance=log_variance, slope=slope, mean_level=mean_level, low=float(levels.min()),
        high=float(levels.max()), df=prior_df, total_df=total,
    )  # fmt: skip


def _inverse_trigamma(value: float) -> float:
    """x with trigamma(x) = value, by Newton's method on 1 / trigamma, which is nearly linear."""
    x = 0.5 + 1 / value
    for _ in range(50):
        tri = float(polygamma(1, x))
        step = tri * (1 - tri / value) / float(polygamma(2, x))
        x += step
        if abs(step) < 1e-10 * x:
            break
    return x
