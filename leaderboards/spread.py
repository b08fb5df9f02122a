"""Spread between training seeds: measured on replicated entries, else borrowed or assumed.

Spreads are relative to the score, since a Fréchet distance of 200 moves more between seeds than
one of 20. Replicates of all entries are pooled (weights: degrees of freedom) together with the
workload's measured spread; an entry whose own replicates vary clearly more than the pool (F test
at 1 %) keeps its own. The sampling error, known for each row, is taken out, so that the two
spreads can be shown apart and added again. Where neither replicates nor a workload's measure are
there, the spread is assumed to be a multiple of the sampling error, never to be zero.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import fdtrc

from leaderboards.entries import Entry

WORKLOAD_DF = 30.0  # what a workload's measured spread weighs where its record states no df
ASSUMED_RATIO = 3.0  # arXiv 2606.20536: a new seed moves FID about 3 times as much as resampling
ASSUMED_DF = 10.0  # how far that ratio is trusted
OWN_SPREAD_LEVEL = 0.01  # F test at which an entry's own spread replaces the pooled one


@dataclass(frozen=True, kw_only=True)
class SeedSpread:
    """Relative training-seed standard deviation: pooled, and of the entries that stand out.

    `kind` is measured (replicates here), borrowed (the workload's), assumed (from the sampling
    error), or none (no error of any kind is known: rel_sd 0).
    """

    kind: str
    rel_sd: float
    df: float
    source: str
    own: dict[str, tuple[float, float]]  # entry_id -> (rel_sd, df)

    def of(self, entry: Entry) -> tuple[float, float]:
        """(relative sd of one training, degrees of freedom) for this entry."""
        return self.own.get(entry.entry_id, (self.rel_sd, self.df))


def relative_variances(entry: Entry) -> tuple[float, float]:
    """(variance between seeds, mean sampling variance), both relative to the squared mean."""
    scores = np.array(entry.scores)
    scale = float(np.mean(scores)) ** 2
    if scale == 0.0:
        return 0.0, 0.0
    errors = [row.score_se or 0.0 for row in entry.scored]
    return float(np.var(scores, ddof=1)) / scale, float(np.mean(np.square(errors))) / scale


def _assumed(entries: Sequence[Entry]) -> SeedSpread:
    """ASSUMED_RATIO times the root mean square relative sampling error of these entries."""
    known = [
        row.score_se / abs(row.score)
        for entry in entries
        for row in entry.scored
        if row.score and row.score_se is not None
    ]
    if not known:
        return SeedSpread(kind="none", rel_sd=0.0, df=math.inf, source="not measured", own={})
    rel_sd = ASSUMED_RATIO * math.sqrt(math.fsum(error**2 for error in known) / len(known))
    source = (
        f"assumed: {ASSUMED_RATIO:g} x sampling error (arXiv 2606.20536); "
        "measure it with bench confirm"
    )
    return SeedSpread(kind="assumed", rel_sd=rel_sd, df=ASSUMED_DF, source=source, own={})


def seed_spread(entries: Sequence[Entry]) -> SeedSpread:
    """What is known of the training spread of these entries, all of one protocol."""
    measured = [
        row.seed_spread for entry in entries for row in entry.rows if row.seed_spread is not None
    ]
    workload = max(measured, key=lambda record: float(record["rel_sd"]), default=None)
    replicated = [entry for entry in entries if len(entry.scores) >= 2]

    df = math.fsum(len(entry.scores) - 1 for entry in replicated)
    total = sampling = 0.0
    for entry in replicated:
        weight = (len(entry.scores) - 1) / df
        between, noise = relative_variances(entry)
        total += weight * between
        sampling += weight * noise
    training = max(0.0, total - sampling)
    seeds = f"{len(replicated)} replicated {'entry' if len(replicated) == 1 else 'entries'}"

    if workload is None and not replicated:
        return _assumed(entries)
    if workload is None:
        source = f"{seeds} here"
    else:
        prior_sd, prior_df = float(workload["rel_sd"]), float(workload.get("df", WORKLOAD_DF))
        training = (df * training + prior_df * prior_sd**2) / (df + prior_df)
        df += prior_df
        source = str(workload.get("source", "the workload"))
        source = f"{seeds} here and {source}" if replicated else source

    own: dict[str, tuple[float, float]] = {}
    for entry in replicated:
        between, noise = relative_variances(entry)
        own_df = len(entry.scores) - 1
        expected = training + noise
        apart = expected == 0.0 or fdtrc(own_df, df, between / expected) < OWN_SPREAD_LEVEL
        if between > expected and apart and len(replicated) > 1:
            own[entry.entry_id] = (math.sqrt(max(0.0, between - noise)), float(own_df))
    kind = "measured" if replicated else "borrowed"
    return SeedSpread(kind=kind, rel_sd=math.sqrt(training), df=df, source=source, own=own)
