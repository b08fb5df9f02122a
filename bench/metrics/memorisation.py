"""The distance to the training part, which stands beside the score on held-out pictures.

It is the same Fréchet distance of the same generated samples, against the train part. A model
that has learnt the distribution is about equally far from both parts; one that repeats its
training pictures is nearer to train than to held-out subjects. The Fréchet distance falls with
the size of its reference, so the train reference takes as many pictures as the held-out one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench import streams


def matched_indices(part: NDArray[np.int64], size: int, *, seed: int = 0) -> NDArray[np.int64]:
    """`size` of the indices in `part` (all, where it has fewer), ascending, the same every time."""
    if len(part) <= size:
        return np.sort(part)
    order = streams.permutation(seed, "train reference", 0, len(part))
    return np.sort(part[order[:size]])
