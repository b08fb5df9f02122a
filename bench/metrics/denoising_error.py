"""The denoising error of D: the one loss that compares across preconditionings (contract 10).

Held-out pictures y get the same noise n for every trial, on sigmas that sampling crosses in all
setups, and
    E(sigma) = mean over pictures and pixels of (D(y + sigma n; sigma) - y)^2
is divided by the error of the optimal linear-Gaussian denoiser of the data at that sigma. 1 means
"as good as knowing the data's mean and covariance"; a trained network goes below.

The weighting of the summary: every sigma of a logarithmic grid counts alike, as a geometric mean
of the ratios, so that neither the large errors of high sigmas nor the small of low sigmas rule.
An error of D enters the sampler's state in the data's own units wherever it is made: a step from
sigma to sigma' moves the state by (1 - sigma'/sigma) (D - x). Of a network whose error is sigma
times that of its output (c_out of VP and VE) the high sigmas tell what the low ones do not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench import streams
from bench.conditions import NOTHING, Condition
from bench.errors import BenchError
from bench.nonfinite import NonFiniteError, require_finite

Denoise = Callable[[Tensor, Tensor, Condition], Tensor]

# What sampling crosses in every setup: from EDM's sigma_max, which bounds the grid of all, to 0.05,
# just above the 1st percentile of VP's training noise; below, D is all but its input.
SHARED_SIGMA_RANGE = (0.05, 80.0)
WEIGHTING = "geometric mean over log-spaced sigmas"


@dataclass(frozen=True, kw_only=True)
class DenoisingError:
    """Errors of D on a grid of sigmas (lower is better).

    per_sigma: mean squared error per pixel, in data units squared ([-1, 1] pictures).
    relative: per_sigma over the optimal linear-Gaussian denoiser's error.
    weighted: geometric mean of `relative`; se: its standard error over pictures, which counts
        them as independent and the optimal errors as known. Its estimand is the value on
        infinitely many such pictures for this one network. None for a single picture.
    """

    sigmas: tuple[float, ...]
    per_sigma: tuple[float, ...]
    relative: tuple[float, ...]
    weighted: float
    se: float | None
    weighting: str = WEIGHTING


def shared_sigmas(n: int = 9) -> NDArray[np.float64]:
    """n log-spaced sigmas over SHARED_SIGMA_RANGE, ascending."""
    return np.geomspace(*SHARED_SIGMA_RANGE, n)


def squared_errors(
    denoise: Denoise,
    images: NDArray[np.float32] | Tensor,
    *,
    sigmas: Sequence[float] | NDArray[np.float64],
    noise_seed: int,
    condition: Condition = NOTHING,
    batch_size: int = 64,
    device: str | torch.device = "cpu",
) -> NDArray[np.float64]:
    """Mean squared error per pixel of each picture at each sigma: float64 [N, len(sigmas)].

    `denoise(x, sigma, condition)` maps noisy float32 pictures [n, C, ...], sigma [n] and the
    condition of these pictures to their estimate. `images` are in [-1, 1]. The noise depends on
    (noise_seed, sigma, position in `images`) alone, so any two denoisers see the same.
    Raises NonFiniteError.
    """
    levels = levels_of(sigmas)
    errors = np.empty((len(images), len(levels)), np.float64)
    with torch.inference_mode():
        for start in range(0, len(images), batch_size):
            part = images[start : start + batch_size]
            y = torch.as_tensor(part, dtype=torch.float32, device=device)
            rows = range(start, start + len(y))
            known = condition.rows(slice(rows.start, rows.stop))
            for k, sigma in enumerate(levels):
                purpose = f"denoising error at {sigma:.9g}"
                draw = streams.normal(noise_seed, purpose, rows, tuple(y.shape[1:]))
                x = y + sigma * torch.from_numpy(draw).to(device)
                level = torch.full((len(y),), sigma, dtype=torch.float32, device=device)
                d = denoise(x, level, known)
                error = (d.double() - y.double()).square().flatten(1).mean(1)
                errors[rows.start : rows.stop, k] = error.cpu().numpy()
    require_finite(errors, "denoising error")
    return errors


def denoising_error(
    denoise: Denoise,
    images: NDArray[np.float32] | Tensor,
    *,
    sigmas: Sequence[float] | NDArray[np.float64],
    noise_seed: int,
    optimal_error: Sequence[float] | NDArray[np.float64],
    condition: Condition = NOTHING,
    batch_size: int = 64,
    device: str | torch.device = "cpu",
) -> DenoisingError:
    """Error of a denoiser relative to the optimal linear-Gaussian one; see `squared_errors`.

    `optimal_error` [len(sigmas)] is the latter's error per pixel in the same units, either in
    closed form or as `squared_errors(gaussian, ...).mean(0)` on the same pictures and noise.
    """
    errors = squared_errors(
        denoise,
        images,
        sigmas=sigmas,
        noise_seed=noise_seed,
        condition=condition,
        batch_size=batch_size,
        device=device,
    )
    return summarise(errors, sigmas=sigmas, optimal_error=optimal_error)


def summarise(
    errors: NDArray[np.float64],
    *,
    sigmas: Sequence[float] | NDArray[np.float64],
    optimal_error: Sequence[float] | NDArray[np.float64],
) -> DenoisingError:
    """DenoisingError from per-picture errors [N, len(sigmas)], say gathered from several ranks."""
    levels = levels_of(sigmas)
    optimal = np.asarray(optimal_error, np.float64)
    if optimal.shape != levels.shape:
        raise BenchError(f"{len(levels)} sigmas but {optimal.shape} optimal errors")
    if not (np.isfinite(optimal) & (optimal > 0)).all():
        raise NonFiniteError("optimal errors must be finite and above 0: is the data constant?")
    n = len(errors)
    if n == 0:
        raise BenchError("the denoising error needs at least one picture")
    mean = errors.mean(0)
    relative = mean / optimal
    weighted = float(np.exp(np.log(relative).mean())) if (relative > 0).all() else 0.0
    se = None
    if n > 1 and weighted > 0:
        # delta method: d ln(weighted) = mean over sigma of (e_i - mean) / mean
        influence = (errors / mean - 1).mean(1)
        se = weighted * float(influence.std(ddof=1)) / n**0.5
    return DenoisingError(
        sigmas=tuple(levels.tolist()),
        per_sigma=tuple(mean.tolist()),
        relative=tuple(relative.tolist()),
        weighted=weighted,
        se=se,
    )


def levels_of(sigmas: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    """Noise levels as an array; BenchError unless there is one and all are positive and finite."""
    levels = np.asarray(sigmas, np.float64)
    if levels.ndim != 1 or not len(levels) or not (np.isfinite(levels) & (levels > 0)).all():
        raise BenchError(f"sigmas must be a list of positive numbers, not {sigmas}")
    return levels
