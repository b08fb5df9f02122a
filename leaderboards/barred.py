"""Who cannot be named winner whatever its score: entries that fail a measure's test.

A measure that is a p-value may state a `level` (leaderboards.measures). An entry fails where its p,
times its seeds (the smallest of several), is below the level divided by the number of entries, so
that on a board of honest ones hardly any is barred. Who is barred is left out of every comparison:
an honest entry behind it can be the best.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from leaderboards.entries import Entry
from leaderboards.measures import Measure

Values = Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Failure:
    """One entry's failure: of which measure, its p over all seeds, the level it had to reach, and
    how often it does so (the mean over seeds; None: not known)."""

    measure: Measure
    p: float
    level: float
    share: float | None

    @property
    def text(self) -> str:
        """'copies its training pictures (12% of samples, p = 3e-07, barred below 0.00025)'."""
        how_much = "" if self.share is None else f"{self.share:.0%} of samples, "
        return f"{self.measure.failure} ({how_much}p = {self.p:.1g}, barred below {self.level:.2g})"


def failures(
    seeds: Mapping[str, Sequence[Values]], measures: Iterable[Measure]
) -> dict[str, Failure]:
    """The entries that fail, by id; `seeds`: of each compared entry what its seeds measured."""
    found: dict[str, Failure] = {}
    for measure in measures:
        if measure.level is None:
            continue
        level = measure.level / max(1, len(seeds))
        share_key = _beside(measure)
        for entry_id, each in seeds.items():
            ps = [values[measure.key] for values in each if measure.key in values]
            p = min([1.0, *(len(ps) * one for one in ps)])
            if p >= level or entry_id in found:
                continue
            shares = [values[share_key] for values in each if share_key in values]
            share = sum(shares) / len(shares) if shares else None
            found[entry_id] = Failure(measure=measure, p=p, level=level, share=share)
    return found


def _beside(measure: Measure) -> str:
    """The key of the measure that says how often, in the same group."""
    group, slash, _ = measure.key.rpartition("/")
    return f"{group}{slash}{measure.failure_share}"


@dataclass(frozen=True, kw_only=True)
class Barred:
    """An entry of a board that cannot win, and why."""

    entry: Entry
    failure: Failure

    @property
    def line(self) -> str:
        """For the claims."""
        return f"barred: {self.entry.first.label} {self.failure.text}; it cannot be the winner"


def barred(entries: Sequence[Entry], measures: Iterable[Measure]) -> tuple[Barred, ...]:
    """Those that are barred, the best score first."""
    done = {e.entry_id: e for e in entries if e.scores}
    seeds = {key: [row.values for row in entry.completed] for key, entry in done.items()}
    found = failures(seeds, measures)
    kept = [Barred(entry=done[key], failure=failure) for key, failure in found.items()]
    if not kept:
        return ()
    measure = kept[0].entry.first.score_measure
    return tuple(measure.in_order(kept, lambda one: one.entry.score or 0.0))
