"""Spread between training seeds: measured on replicated entries, else borrowed or assumed.

On the ratio scale spreads are relative to the score, since a distance of 200 moves more between
seeds than one of 20; on the difference scale they are in the score's unit. Replicates of all
entries are pooled (weights: degrees of freedom) together with the workload's measured spread; an
entry whose own replicates vary clearly more than the pool (F test at 1 %) keeps its own. The
sampling error, known for each row, is taken out, so that the two spreads can be shown apart and
added again. Where neither replicates nor a workload's measure are there, the spread is assumed to
be a multiple of the sampling error, never to be zero. An entry that trains nothing has none, and
lends none to others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import fdtrc

from leaderboards.entries import Entry

WORKLOAD_DF = 30.0  # what a workload's measured spread weighs where its record states no df
ASSUMED_RATIO = 3.0  # arXiv 2606.20536: a new seed moves FID about 3 times as much as resampling
ASSUMED_DF = 10.0  # how far that ratio is trusted
OUTLIER_LEVEL = 0.01  # F test at which an entry's own spread replaces the pooled one


@dataclass(frozen=True, kw_only=True)
class SeedSpread:
    """Training-seed standard deviation on the score's scale: pooled, and of entries that stand out.

    `kind` is measured (replicates here), borrowed (the workload's), assumed (from the sampling
    error), or none (no error of any kind is known: sd 0). `relative`: every sd is a share of the
    score (ratio scale), else in the score's unit.
    """

    kind: str
    sd: float
    df: float
    source: str
    relative: bool
    outliers: dict[str, tuple[float, float]]  # entry_id -> (sd, df) of those that vary far more
    untrained: frozenset[str] = frozenset()  # entry_ids of those without any

    def of(self, entry: Entry) -> tuple[float, float]:
        """(sd of one training on the score's scale, degrees of freedom) for this entry."""
        if entry.entry_id in self.untrained:
            return 0.0, math.inf
        return self.outliers.get(entry.entry_id, (self.sd, self.df))

    def in_units(self, entry: Entry, score: float) -> float:
        """The entry's sd of one training in score units."""
        sd, _ = self.of(entry)
        return sd * abs(score) if self.relative else sd


def variances(entry: Entry, relative: bool) -> tuple[float, float]:
    """(variance between seeds, mean sampling variance); relative to the squared mean if asked."""
    scores = np.array(entry.scores)
    unit = float(np.mean(scores)) ** 2 if relative else 1.0
    if unit == 0.0:
        return 0.0, 0.0
    errors = [row.score_se or 0.0 for row in entry.scored]
    return float(np.var(scores, ddof=1)) / unit, float(np.mean(np.square(errors))) / unit


def _assumed(entries: Sequence[Entry], relative: bool) -> SeedSpread:
    """ASSUMED_RATIO times the root mean square sampling error of these entries."""
    known = [
        row.score_se / (abs(row.score) if relative else 1.0)
        for entry in entries
        for row in entry.scored
        if row.score_se is not None and row.score is not None and (row.score or not relative)
    ]
    if not known:
        return SeedSpread(
            kind="none",
            sd=0.0,
            df=math.inf,
            source="not measured",
            relative=relative,
            outliers={},
        )
    sd = ASSUMED_RATIO * math.sqrt(math.fsum(error**2 for error in known) / len(known))
    source = (
        f"assumed: {ASSUMED_RATIO:g} x sampling error (arXiv 2606.20536); "
        "measure it with bench confirm"
    )
    return SeedSpread(
        kind="assumed", sd=sd, df=ASSUMED_DF, source=source, relative=relative, outliers={}
    )


def seed_spread(entries: Sequence[Entry]) -> SeedSpread:
    """What is known of the training spread of these entries, all of one protocol."""
    untrained = frozenset(entry.entry_id for entry in entries if entry.untrained)
    rows = [row for entry in entries for row in entry.rows]
    relative = not rows or rows[0].score_measure.scale == "ratio"
    trained = [entry for entry in entries if entry.entry_id not in untrained]
    return replace(_of_trained(trained, relative), untrained=untrained)


def _of_trained(entries: Sequence[Entry], relative: bool) -> SeedSpread:
    rows = [row for entry in entries for row in entry.rows]
    measured = [row for row in rows if row.seed_sd is not None]
    widest = max(measured, key=lambda row: row.seed_sd or 0.0, default=None)
    replicated = [entry for entry in entries if len(entry.scores) >= 2]

    df = math.fsum(len(entry.scores) - 1 for entry in replicated)
    total = sampling = 0.0
    for entry in replicated:
        weight = (len(entry.scores) - 1) / df
        between, noise = variances(entry, relative)
        total += weight * between
        sampling += weight * noise
    training = max(0.0, total - sampling)
    seeds = f"{len(replicated)} replicated {'entry' if len(replicated) == 1 else 'entries'}"

    if widest is None and not replicated:
        return _assumed(entries, relative)
    if widest is None:
        source = f"{seeds} here"
    else:
        prior_sd, workload = widest.seed_sd or 0.0, widest.seed_spread or {}
        prior_df = float(workload.get("df", WORKLOAD_DF))
        training = (df * training + prior_df * prior_sd**2) / (df + prior_df)
        df += prior_df
        source = str(workload.get("source", "the workload"))
        source = f"{seeds} here and {source}" if replicated else source

    outliers: dict[str, tuple[float, float]] = {}
    for entry in replicated:
        between, noise = variances(entry, relative)
        entry_df = len(entry.scores) - 1
        expected = training + noise
        apart = expected == 0.0 or fdtrc(entry_df, df, between / expected) < OUTLIER_LEVEL
        if between > expected and apart and len(replicated) > 1:
            outliers[entry.entry_id] = (math.sqrt(max(0.0, between - noise)), float(entry_df))
    return SeedSpread(
        kind="measured" if replicated else "borrowed",
        sd=math.sqrt(training),
        df=df,
        source=source,
        relative=relative,
        outliers=outliers,
    )
