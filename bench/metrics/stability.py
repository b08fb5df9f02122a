"""Loss stability: how much the loss swings once the drawn sigma and the trend are taken out.

Most of a raw diffusion loss's swing is just which sigma was drawn, so the input is per sample:
sigma and the squared error of D (mean over pixels, unweighted), in the order of training.

1. The first WARMUP of the samples is left out: every setup falls steeply there, by amounts set
   by its initial D.
2. Samples fall into at most 16 bins of equal count in log sigma. In each bin log(error) is
   modelled as a quadratic in log(sigma) plus a continuous piecewise-linear trend in the number of
   samples seen, with at most 8 pieces that widen as squares (short ones first), fitted by least
   absolute deviations. r = log(error) - model is the sample's residual.
3. s_bin = 1.4826 x median |r - median r| of the bin; z = (r - median r) / s_bin, cut at +-8, so
   that no single sample makes a spike.
4. A window is WINDOW = 64 consecutive samples, whatever the batch size was; its score is
   sum z / sqrt(count).

Invariances. A loss weighted by any w(sigma) adds log w(sigma) to log(error): where log w is
quadratic in log(sigma) across a bin (VP, VE, iDDPM: 1/sigma^2) the results are equal to rounding;
for EDM's weight and other smooth ones to within 3 %. Nothing but the shares of flagged steps
looks at how samples were cut into batches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm

from bench.errors import BenchError
from leaderboards.measures import Measure

Float64 = NDArray[np.float64]

WARMUP = 0.1
WINDOW = 64
SPIKE = 5.0
CUT = 8.0
MAX_BINS = 16
PER_BIN = 250
MAX_PIECES = 8
MIN_SAMPLES = 128
MIN_WINDOWS = 20
MAD_TO_SD = float(1 / norm.ppf(0.75))
MEASURES = (
    Measure(
        key="stability/loss_rel_spread",
        title="loss spread",
        direction="lower",
        digits=2,
        drop=6,
        meaning="scatter of the training loss about its course, relative, at equal noise",
    ),
    Measure(key="stability/loss_window_scatter", title="loss scatter", digits=2, drop=18),
    Measure(
        key="stability/spikes_per_1k",
        title="spikes per 1k",
        direction="lower",
        scale="difference",
        digits=2,
        drop=9,
        meaning="loss spikes in a thousand steps",
    ),
    Measure(key="stability/clipped_share", title="clipped steps", digits=2, drop=18),
    Measure(key="stability/nonfinite_share", title="nonfinite steps", digits=2, drop=18),
)


@dataclass(frozen=True, kw_only=True)
class LossStability:
    """Stability of one trial's loss; lower is steadier in every field.

    loss_rel_spread: median over bins of s_bin, in units of ln(error): 0.1 is about +-10 %. Holds
        how much pictures differ in difficulty as well as what training adds.
    loss_window_scatter: robust sd of the window scores over what independent samples would give:
        1 is "only sampling", 2 is a loss that wanders twice as much between windows.
    spikes_per_1k: runs of adjacent windows whose score exceeds the median score by more than
        SPIKE = 5 robust sds, per 1000 windows, that is per 1000 steps at batch 64. A run is one
        spike however long.
    clipped_share, nonfinite_share: share of optimizer steps whose gradient was clipped, or whose
        loss or gradient was not finite, of all steps (warm-up included); None where not given.
    used, left_out: samples behind the numbers, and samples after warm-up whose error was zero or
        not finite; these have no logarithm and enter no number above.
    Numbers are None with fewer than 128 samples (20 windows for the window's).
    """

    loss_rel_spread: float | None
    loss_window_scatter: float | None
    spikes_per_1k: float | None
    clipped_share: float | None
    nonfinite_share: float | None
    used: int
    left_out: int

    @property
    def metrics(self) -> dict[str, float]:
        """What MEASURES name, where there were samples enough for it."""
        known = {m.key: getattr(self, m.key.partition("/")[2]) for m in MEASURES}
        return {key: value for key, value in known.items() if value is not None}


def loss_stability(
    sigma: ArrayLike,
    sq_error: ArrayLike,
    *,
    clipped: ArrayLike | None = None,
    nonfinite: ArrayLike | None = None,
) -> LossStability:
    """Stability from per-sample sigma [N] and squared error of D [N], in training order.

    `clipped` and `nonfinite` are flags, one an optimizer step. The definitions are in the
    module's docstring. Raises BenchError for sizes that differ, sigma <= 0 or errors < 0.
    """
    x, error = np.asarray(sigma, np.float64), np.asarray(sq_error, np.float64)
    if x.shape != error.shape or x.ndim != 1:
        raise BenchError(f"sigma {x.shape} and squared error {error.shape} must be two equal lists")
    if not (np.isfinite(x) & (x > 0)).all() or (error < 0).any():
        raise BenchError("sigma must be finite and above 0, squared errors not below 0")
    position = np.arange(len(x))
    warm = position >= int(WARMUP * len(x))
    use = warm & np.isfinite(error) & (error > 0)
    used = int(use.sum())
    rel_spread = scatter = spikes = None
    if used >= MIN_SAMPLES:
        z, spreads = _standardise(position[use], np.log(x[use]), np.log(error[use]))
        rel_spread = float(np.median(spreads))
        scatter, spikes = _windows(position[use] - position[warm][0], z)
    return LossStability(
        loss_rel_spread=rel_spread,
        loss_window_scatter=scatter,
        spikes_per_1k=spikes,
        clipped_share=_share(clipped),
        nonfinite_share=_share(nonfinite),
        used=used,
        left_out=int(warm.sum()) - used,
    )


def _standardise(
    position: NDArray[np.int64], log_sigma: Float64, log_error: Float64
) -> tuple[Float64, Float64]:
    """Residuals in units of their bin's spread [n], and each bin's spread."""
    n = len(position)
    n_bins = min(max(n // PER_BIN, 1), MAX_BINS)
    edges = np.unique(np.quantile(log_sigma, np.arange(1, n_bins) / n_bins))
    bins = np.searchsorted(edges, log_sigma, side="right")  # equal sigmas share a bin
    time = (position - position[0]) / max(int(position[-1] - position[0]), 1)
    z, spreads = np.zeros(n), []
    for b in np.unique(bins):
        rows = bins == b
        residual = _detrend(time[rows], log_sigma[rows], log_error[rows])
        spread = _robust_sd(residual)
        if spread > 0:
            z[rows] = np.clip((residual - np.median(residual)) / spread, -CUT, CUT)
        spreads.append(spread)
    return z, np.array(spreads)


def _detrend(time: Float64, log_sigma: Float64, log_error: Float64) -> Float64:
    """Residual of the least-absolute-deviations fit of one bin; time is in [0, 1]."""
    pieces = int(np.clip(np.sqrt(len(time) / 10), 1, MAX_PIECES))  # 10 samples in the shortest
    knots = (np.arange(pieces + 1) / pieces) ** 2
    hats = np.stack([np.interp(time, knots, row) for row in np.eye(pieces + 1)], 1)
    centred = log_sigma - log_sigma.mean()
    width = float(np.abs(centred).max()) or 1.0
    u = centred / width
    basis = np.column_stack([hats, u, u * u])
    level = float(np.median(log_error))
    y = log_error - level
    ridge = 1e-9 * np.eye(basis.shape[1])  # sigma may be constant in a bin
    weight = np.ones(len(y))
    residual = y
    for _ in range(30):  # iteratively reweighted least squares
        weighted = basis * weight[:, None]
        coefficients = np.linalg.solve(weighted.T @ basis + ridge, weighted.T @ y)
        residual = y - basis @ coefficients
        floor = 1e-3 * float(np.median(np.abs(residual))) + 1e-12
        weight = 1 / np.maximum(np.abs(residual), floor)
        weight /= weight.mean()
    return residual * (len(y) / (len(y) - basis.shape[1]))  # a fit this flexible hides its share


def _windows(position: NDArray[np.int64], z: Float64) -> tuple[float | None, float | None]:
    """Scatter of the window scores and spikes per 1000 windows."""
    window = position // WINDOW
    count = np.bincount(window)
    full = count >= WINDOW // 2  # a cut-off end or a gap is no window
    if int(full.sum()) < MIN_WINDOWS or z.std() == 0:
        return None, None
    score = np.bincount(window, weights=z)[full] / np.sqrt(count[full])
    score -= np.median(score)
    spread = _robust_sd(score)
    high = score > SPIKE * spread
    runs = int(high[0]) + int((high[1:] & ~high[:-1]).sum())
    return spread / float(z.std()), 1000.0 * runs / len(score)


def _robust_sd(values: Float64) -> float:
    return MAD_TO_SD * float(np.median(np.abs(values - np.median(values))))


def _share(flags: Any) -> float | None:
    return None if flags is None or not len(flags) else float(np.mean(np.asarray(flags, bool)))
