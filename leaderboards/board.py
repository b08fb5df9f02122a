"""The board: rankings, cells, outcomes and claims of a set of rows, as one plain object.

Built from rows, in any order, and the facts of their sweeps, so that the journal's board and
MLflow's are the same. Drawing is done elsewhere: `leaderboards.draw` for terminals,
`leaderboards.text` for md, csv and json.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from leaderboards import agreement, claims, other_budgets, references
from leaderboards.best import ALPHA
from leaderboards.cells import Cell, CellTable, axes_of, cell_table
from leaderboards.entries import Entry, count_outcomes, distinct
from leaderboards.facts import SweepFacts
from leaderboards.measures import SE, Measure, union
from leaderboards.rank import Ranked, Ranking, rankings
from leaderboards.references import Reference
from leaderboards.rows import Row


@dataclass(frozen=True, kw_only=True)
class Board:
    """Everything a leaderboard shows. One ranking for each protocol, the largest first.

    measures: the columns of what was measured, in order.
    axes: of the cells that verdicts are about.
    """

    title: str
    facts: tuple[SweepFacts, ...]
    measures: tuple[Measure, ...]
    axes: tuple[str, ...]
    rows: tuple[Row, ...]
    rankings: tuple[Ranking, ...]
    outcomes: dict[str, int]
    opening: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def simulated(self) -> bool:
        return _simulated(self.rows, self.facts)

    def data_notes(self, sweeps: Iterable[str]) -> tuple[str, ...]:
        """The problems of the data of these sweeps."""
        chosen = set(sweeps)
        return tuple(claims.data_notes([f for f in self.facts if f.sweep in chosen]))

    @property
    def claims(self) -> tuple[str, ...]:
        """Every line a reader must see: what was measured, then each verdict, then notes."""
        verdicts = [line for ranking in self.rankings for line in self.verdict(ranking)]
        return (*self.opening, *verdicts, *self.notes)

    def verdict(self, ranking: Ranking) -> list[str]:
        """What may be claimed of one of the rankings."""
        scores = [place.score for place in ranking.ranked]
        protocol = ranking.rows[0].protocol
        beside = references.lines(self.references(ranking), ranking.measure, scores, protocol)
        return [*claims.verdict(ranking, self.measures), *(beside if scores else [])]

    def references(self, ranking: Ranking) -> tuple[Reference, ...]:
        """The reference rows of a ranking: of the same data, protocol and scale they are alike."""
        sweeps = {row.sweep for row in ranking.rows}
        found = (f.references for f in self.facts if f.sweep in sweeps and f.references)
        return next(found, ())

    def reference_rows(self, ranking: Ranking) -> list[dict[str, Any]]:
        """References in the form of entries."""
        entries = _entries(ranking)
        found = self.references(ranking)
        return references.as_entries(found, entries[0], ranking.measure) if entries else []

    def to_dict(self) -> dict[str, Any]:
        """The board as JSON: entries (ranked first), cells, outcomes, claims, protocols."""
        return {
            "title": self.title,
            "data_simulated": self.simulated,
            "data_notes": claims.data_notes(self.facts),
            "entries": [entry for ranking in self.rankings for entry in _entries(ranking)],
            "references": [
                row for ranking in self.rankings for row in self.reference_rows(ranking)
            ],
            "cells": [
                _cell(ranking, cell, table)
                for ranking in self.rankings
                if (table := cell_table(ranking, self.axes))
                for cell in table.cells
            ],
            "outcomes": dict(self.outcomes),
            "claims": list(self.claims),
            "measures": [measure.to_dict() for measure in self.measures],
            "cell_axes": list(self.axes),
            "protocols": {r.protocol_digest: dict(r.rows[0].protocol) for r in self.rankings},
            "verdicts": [_verdict(ranking) for ranking in self.rankings],
        }


def build(rows: Iterable[Row], facts: Sequence[SweepFacts] = ()) -> Board:
    """The board of these rows. No rows: an empty board.

    `facts` are those of the rows' sweeps; without any, every value of a row has a column.
    """
    kept, repeats = distinct(rows)
    measures = union(f.measures for f in facts)
    by_protocol = tuple(rankings(kept, measures))
    notes = []
    if len(by_protocol) > 1:
        notes.append(
            f"{len(by_protocol)} protocols or scales: each is ranked by itself, never against "
            "another"
        )
    if repeats:
        notes.append(f"{repeats} repeated trials (same configuration, same seed) counted once")
    notes += claims.trial_notes(kept)
    parts = [sorted({row.workload for row in kept}), sorted({row.scale for row in kept})]
    title = " · ".join(", ".join(names) for names in parts if names) or "no trials"
    if _simulated(kept, facts):
        title += " · SIMULATED data"
    return Board(
        title=title,
        facts=tuple(facts),
        measures=measures or _undeclared(kept),
        axes=axes_of(kept, [axis for f in facts for axis in f.cell_axes]),
        rows=tuple(kept),
        rankings=by_protocol,
        outcomes=count_outcomes(kept),
        opening=tuple(claims.opening(kept, facts)),
        notes=tuple(notes) if kept else ("no trials yet: there is nothing to show",),
    )


def _simulated(rows: Sequence[Row], facts: Sequence[SweepFacts]) -> bool:
    return any(row.data_simulated for row in rows) or any(f.data_simulated for f in facts)


def _undeclared(rows: Sequence[Row]) -> tuple[Measure, ...]:
    """A measure for each value that rows have, but for standard errors."""
    keys = sorted({key for row in rows for key in row.values if not key.endswith(SE)})
    return tuple(map(Measure.undeclared, keys))


def _entries(ranking: Ranking) -> list[dict[str, Any]]:
    ranked = [_entry(place.entry, place) for place in ranking.ranked]
    barred = [_entry(one.entry, None, one.failure.text) for one in ranking.barred]
    return ranked + barred + [_entry(entry, None) for entry in ranking.unranked]


def _entry(entry: Entry, place: Ranked | None, barred: str | None = None) -> dict[str, Any]:
    """One entry as JSON; ranks and tier are null where it is not ranked."""
    first, rung = entry.first, entry.last_rung
    return {
        "entry_id": entry.entry_id,
        "label": first.label,
        "cell": dict(first.cell),
        "rank_low": place.rank_low if place else None,
        "rank_high": place.rank_high if place else None,
        "tier": place.tier if place else None,
        "may_be_best": place.may_be_best if place else False,
        "behind_at_most": place.behind if place else None,
        "chance_best": place.chance if place else None,
        "barred": barred,
        "score": entry.score,
        "score_se": entry.score_se,
        "training_sd": place.training_sd if place else None,
        "training_sd_source": place.training_source if place else None,
        "total_se": place.total_se if place else None,
        "confirmed": entry.confirmed,
        "select": entry.select,
        "values": entry.values,
        "outcome": entry.outcome,
        "cause": entry.cause,
        "last_rung": dict(rung) if rung else None,
        "n_seeds": len(entry.completed),
        "seeds": [
            {
                "seed": row.seed,
                "sweep": row.sweep,
                "trial": row.trial,
                "trial_id": row.trial_id,
                "origin": row.origin,
                "outcome": row.outcome,
                "score": row.score,
                "score_se": row.score_se,
                "in_score": row in entry.scored,
                "notes": list(row.notes),
            }
            for row in entry.rows
        ],
        "params": dict(first.params),
        "workload": first.workload,
        "scale": first.scale,
        "protocol_digest": first.protocol_digest,
        "data_digest": first.data_digest,
        "data_simulated": first.data_simulated,
    }


def _cell(ranking: Ranking, cell: Cell, table: CellTable) -> dict[str, Any]:
    return {
        "cell": dict(zip(table.axes, cell.choices, strict=True)),
        "budget_fraction": table.fraction,
        "started": cell.started,
        "compared": cell.compared,
        "best": cell.best,
        "median": cell.median,
        "may_be_best": cell.may_be_best,
        "verdict": cell.verdict,
        "protocol_digest": ranking.protocol_digest,
        "scale": ranking.scale,
    }


def _verdict(ranking: Ranking) -> dict[str, Any]:
    """The ranking's outcome in numbers."""
    return {
        "workload": ranking.workload,
        "scale": ranking.scale,
        "protocol_digest": ranking.protocol_digest,
        "winner": ranking.winner.entry.entry_id if ranking.winner else None,
        "second_judges": [
            {
                "measure": j.measure.key,
                "ahead": [entry.entry_id for entry in j.ahead],
                "stands": j.stands,
            }
            for j in ranking.second_judges
        ],
        "may_be_best": [place.entry.entry_id for place in ranking.may_be_best],
        "ranked": len(ranking.ranked),
        "barred": [one.entry.entry_id for one in ranking.barred],
        "confidence": 1 - ALPHA,
        "look": ranking.look,
        "level_of_look": ranking.level,
        "under_way": ranking.under_way,
        "training_spread": {
            "kind": ranking.spread.kind,
            "sd": ranking.spread.sd if ranking.spread.kind != "none" else None,
            "shared_by_a_seed": ranking.spread.block**0.5,
            "relative": ranking.spread.relative,
            "source": ranking.spread.source,
        },
        "optimism": ranking.optimism,
        "rung_agreement": [
            {
                "fraction": a.fraction,
                "with_fraction": a.later,
                "n": a.n,
                "rho": a.rho,
                "rho_of_better_half": a.better_half,
            }
            for a in agreement.agreements(ranking.rows)
        ],
        "other_budgets": [
            {**dataclasses.asdict(o), "changes": o.changes} for o in other_budgets.others(ranking)
        ],
    }
