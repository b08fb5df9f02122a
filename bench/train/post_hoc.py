"""Averages of any length after training, from the stored power-function averages.

Karras et al. 2024 (arXiv 2312.02696), section 3.2: the profile p of the wanted average (the weight
it gives to the network at time t) is approximated by a sum of the stored ones' profiles, and the
same sum of the stored averages approximates the wanted average. The coefficients are theirs, by
least squares, in images seen (nimg).

Ours: the inner products are of the profiles' integrals P(t), not of p(t). An error e of the profile
moves the average by the integral of e(t) w(t), which by parts is that of E(t) w'(t), and training
is a path of small steps w': short errors that cancel do no harm. With the coefficients summing to 1
this is ten to a hundred times as exact as the paper's inner products on the same snapshots. P is
exact for the discrete averages of bench.train.ema: after k of n steps it is (k/n)^(gamma+1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.train.ema import gamma_of

POINTS = 4096  # of time at most, at which profiles are compared


@dataclass(frozen=True, kw_only=True)
class Profile:
    """Of one average: its relative width, and the images seen when it was taken, a positive number.
    Width 0 is the network itself."""

    sigma_rel: float
    nimg: int

    def share_before(self, nimg: NDArray[np.float64]) -> NDArray[np.float64]:
        """P: the share of its weight that lies before each of these numbers of images."""
        if self.sigma_rel == 0:
            return np.asarray(nimg >= self.nimg, np.float64)
        return np.minimum(nimg / self.nimg, 1.0) ** (gamma_of(self.sigma_rel) + 1)


def coefficients(stored: Sequence[Profile], wanted: Profile, step_nimg: int) -> NDArray[np.float64]:
    """What to weigh each stored average with, [stored]; their sum is 1. One of them is needed at
    least, and none later than the wanted one. `step_nimg`: images in a step."""
    steps = wanted.nimg // step_nimg
    at = np.linspace(1.0, steps, min(steps, POINTS), dtype=np.float64) * step_nimg
    known = np.stack([profile.share_before(at) for profile in stored], axis=1)
    away = known[:, :-1] - known[:, -1:]  # the last one takes what is left to a sum of 1
    missing = wanted.share_before(at) - known[:, -1]
    found = np.linalg.lstsq(away, missing, rcond=None)[0]
    return np.append(found, 1.0 - found.sum())
