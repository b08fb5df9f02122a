"""How long an architecture takes for an image, as far as a few timings of it tell.

Seconds per image are step / batch + image + flop x FLOPs: a FLOP of a narrow network takes up to
twice as long as one of a wide one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Speed:
    """Seconds that an architecture takes: none of them negative."""

    step: float  # a step
    image: float  # an image
    flop: float  # a FLOP

    def sec_per_image(self, flops: int, batch: int) -> float:
        return self.step / batch + self.image + self.flop * flops


def fit(points: Mapping[tuple[int, int], float]) -> Speed:
    """Least relative squares over (FLOPs, batch) -> seconds per image, no coefficient negative."""
    from scipy.optimize import nnls

    flops, batch = np.array(list(points), float).T
    seconds = np.array(list(points.values()))
    columns = np.stack([1 / batch, np.ones_like(batch), flops], 1)
    # with one timing there is one thing to know: seconds a FLOP
    used = [2] if len(points) == 1 else [0, 2] if len(points) == 2 else [0, 1, 2]
    scale = columns.mean(0)
    coefficients, _ = nnls((columns / scale)[:, used] / seconds[:, None], np.ones(len(points)))
    whole = np.zeros(3)
    whole[used] = coefficients / scale[used]
    return Speed(step=float(whole[0]), image=float(whole[1]), flop=float(whole[2]))
