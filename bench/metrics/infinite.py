"""The Fréchet distance of infinitely many predictions, by a line (Chong and Forsyth 2020).

arXiv 1911.07023: the distance of n predictions is about FD_inf + c / n, so a line through the
distances of several n, against 1/n, meets 1/n = 0 at FD_inf. It is of the predictions' number
alone: the real side's stays in it, which is the same for all entries. It may be below 0.

Theirs draws each size anew. Ours deals the predictions into 1, 2, 4 and 8 parts of equal size and
takes the mean distance of each: all are in every size alike, so that what one draw has by chance is
in all points of the line and not in its slope. To first order the error is then that of the
distance itself, whose jackknife is given.
"""

from __future__ import annotations

import numpy as np

from bench.metrics.frechet import FrechetReference, frechet_distance
from bench.metrics.jackknife import Float64

PARTS = (1, 2, 4, 8)
WIDTHS = 4  # samples for each feature in parts beyond halves: below, the line bends


def infinite_distance(reference: FrechetReference, features: Float64) -> tuple[float, float | None]:
    """(FD_inf, its standard error) of features [n, D] in random order.

    Quarters and eighths are used where they have WIDTHS times D samples. In simulations a few per
    cent of the distance's excess are left at n = 8 D, a seventh at n = 2 D. The error is None with
    fewer than 10 predictions.
    """
    n, width = features.shape
    parts = [p for p in PARTS if p <= 2 or n // p >= WIDTHS * width]
    whole = frechet_distance(reference, features)
    means = [
        np.mean([frechet_distance(reference, f, blocks=0).value for f in _dealt(features, p)])
        for p in parts[1:]
    ]
    design = np.stack([np.ones(len(parts)), 1 / np.array([n // p for p in parts])], 1)
    line, *_ = np.linalg.lstsq(design, np.array([whole.value, *means]), rcond=None)
    return float(line[0]), whole.se


def _dealt(features: Float64, parts: int) -> list[Float64]:
    size = len(features) // parts
    return [features[k * size : (k + 1) * size] for k in range(parts)]
