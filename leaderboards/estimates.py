"""From entries to their compared scores with every error that is known of them.

Scores are turned so that lower is better. An entry's own error is that of its trainings; seeds that
entries share are a block; the subjects that all were measured on are common, and known by leaving
them out in groups (a jackknife), so that in a difference most of it cancels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from leaderboards.best import Errors
from leaderboards.entries import Entry
from leaderboards.spread import SeedSpread, compared

SUBJECTS = ("cases", "subjects")


def errors_of(entries: Sequence[Entry], spread: SeedSpread) -> Errors:
    """Compared scores and errors of entries that each have a score."""
    counts = np.array([len(entry.scores) for entry in entries], float)
    known = [spread.of(entry) for entry in entries]
    sign = entries[0].first.score_measure.sign
    common = moves_by_subjects(entries, spread.relative)
    return Errors(
        x=sign * np.array([compared(entry, spread.relative).mean() for entry in entries]),
        own=np.array([each.variance for each in known]) / counts,
        df=np.array([each.df for each in known]),
        seeds=_seed_shares(entries),
        block=spread.block,
        common=common,
        common_df=np.inf if common is None else common.shape[1] - 1.0,
    )


def _seed_shares(entries: Sequence[Entry]) -> NDArray[np.float64]:
    """[n, seeds]: each training seed's share of an entry's mean; untrained entries have none."""
    seeds = sorted({row.seed for entry in entries for row in entry.scored})
    shares = np.zeros((len(entries), len(seeds)))
    for place, entry in enumerate(entries):
        if entry.first.trained:
            for row in entry.scored:
                shares[place, seeds.index(row.seed)] += 1 / len(entry.scored)
    return shares


def moves_by_subjects(entries: Sequence[Entry], relative: bool) -> NDArray[np.float64] | None:
    """How each score moves with each group of subjects, [n, groups], so that the product with its
    transpose is the scores' covariance over choices of subjects, by the delete-group jackknife;
    None where a trial does not say how it does without some."""
    means = []
    for entry in entries:
        vectors = [without(values) for row in entry.scored if (values := row.left_out)]
        if len(vectors) < len(entry.scored) or len({len(v) for v in vectors}) != 1:
            return None
        stacked = np.array(vectors, float)
        if relative and (stacked <= 0).any():
            return None
        means.append((np.log(stacked) if relative else stacked).mean(axis=0))
    groups = {len(mean) for mean in means}
    if len(groups) != 1 or groups == {0} or groups == {1}:
        return None
    table = np.array(means)
    count = table.shape[1]
    moves: NDArray[np.float64] = table - table.mean(axis=1, keepdims=True)
    moves *= np.sqrt((count - 1) / count)
    return moves


def without(left_out: dict[str, list[float]]) -> list[float]:
    """The scores without each group of subjects."""
    return next((left_out[name] for name in SUBJECTS if name in left_out), [])
