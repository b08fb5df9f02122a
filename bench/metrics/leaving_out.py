"""What a score would be without some of the subjects it was measured on.

The subjects of a part are dealt into at most GROUPS groups, the same for every trial, and the score
is taken without each of them: the delete-group jackknife. Its values, kept in a trial's record,
say how far another choice of subjects would move the score, and how far it would move the
*difference* of two scores, which is much less: all trials are measured on the same subjects.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

GROUPS = 20


def groups_of(subjects: NDArray[np.int64]) -> NDArray[np.int64]:
    """The group of each image, [n], given its subject's number; as many subjects in each as may
    be, in the order of their numbers (which come from hashes). One subject: one group."""
    known, place = np.unique(subjects, return_inverse=True)
    return np.asarray(place % min(GROUPS, len(known)), np.int64)


def means_without(values: NDArray[np.float64], groups: NDArray[np.int64]) -> list[float]:
    """The mean of values [n] without each group; nothing where there is only one."""
    sizes = np.bincount(groups)
    if len(sizes) < 2:
        return []
    sums = np.bincount(groups, weights=values)
    return [float(v) for v in (values.sum() - sums) / (len(values) - sizes)]
