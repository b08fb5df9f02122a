"""The distance to the training part, which stands beside the score on held-out pictures.

It is the same Fréchet distance of the same generated samples, against the train part. A model
that has learnt the distribution is about equally far from both parts; one that repeats its
training pictures is nearer to train than to held-out subjects. The Fréchet distance falls with
the size of its reference, in pictures and in subjects, so the train reference takes as many of both
as the held-out one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import streams


def matched_indices(part: NDArray[np.int64], size: int, *, seed: int = 0) -> NDArray[np.int64]:
    """`size` of the indices in `part` (all, where it has fewer), ascending, the same every time."""
    if len(part) <= size:
        return np.sort(part)
    order = streams.permutation(seed, "train reference", 0, len(part))
    return np.sort(part[order[:size]])


def of_subjects(
    rows: NDArray[np.int64], owners: NDArray[np.integer[Any]], subjects: int, count: int
) -> NDArray[np.int64]:
    """At most `count` of the rows, ascending, of at most so many subjects, the same every time;
    owners: whose each row is. A subject gives a second one only when all have given a first."""
    names = np.unique(owners)
    chosen = names[streams.permutation(0, "subjects of a reference", 0, len(names))[:subjects]]
    kept = np.flatnonzero(np.isin(owners, chosen))
    kept = kept[streams.permutation(0, "train reference", 0, len(kept))]
    order = np.argsort(owners[kept], kind="stable")
    grouped = owners[kept][order]
    turns = np.empty(len(kept), np.int64)
    turns[order] = np.arange(len(kept)) - np.searchsorted(grouped, grouped)
    return np.sort(rows[kept[np.argsort(turns, kind="stable")[:count]]])
