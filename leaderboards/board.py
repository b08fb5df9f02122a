"""The board: rankings, cells, outcomes and claims of a set of rows, as one plain object.

Built from rows alone, in any order, so that the journal's board and MLflow's are the same. Drawing
is done elsewhere: `leaderboards.draw` for terminals, `leaderboards.text` for md, csv and json.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from leaderboards import agreement, claims, other_budgets
from leaderboards.cells import Cell, cells
from leaderboards.entries import Entry, count_outcomes, distinct
from leaderboards.rank import ALPHA, Ranked, Ranking, rankings
from leaderboards.rows import Row


@dataclass(frozen=True, kw_only=True)
class Board:
    """Everything a leaderboard shows. One ranking for each protocol, the largest first."""

    title: str
    rows: tuple[Row, ...]
    rankings: tuple[Ranking, ...]
    outcomes: dict[str, int]
    opening: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def simulated(self) -> bool:
        return any(row.data_simulated for row in self.rows)

    @property
    def claims(self) -> tuple[str, ...]:
        """Every line a reader must see: what was measured, then each verdict, then notes."""
        verdicts = [line for ranking in self.rankings for line in claims.verdict(ranking)]
        return (*self.opening, *verdicts, *self.notes)

    def to_dict(self) -> dict[str, Any]:
        """The board as JSON: entries (ranked first), cells, outcomes, claims, protocols."""
        return {
            "title": self.title,
            "data_simulated": self.simulated,
            "entries": [entry for ranking in self.rankings for entry in _entries(ranking)],
            "cells": [_cell(ranking, cell) for ranking in self.rankings for cell in cells(ranking)],
            "outcomes": dict(self.outcomes),
            "claims": list(self.claims),
            "protocols": {r.protocol_digest: dict(r.rows[0].protocol) for r in self.rankings},
            "verdicts": [_verdict(ranking) for ranking in self.rankings],
        }


def build(rows: Iterable[Row], *, device: Mapping[str, Any] | str | None = None) -> Board:
    """The board of these rows; `device` is said in its first line. No rows: an empty board."""
    kept, repeats = distinct(rows)
    found = tuple(rankings(kept))
    notes = []
    if len(found) > 1:
        notes.append(
            f"{len(found)} protocols or scales: each is ranked by itself, never against another"
        )
    if repeats:
        notes.append(f"{repeats} repeated trials (same configuration, same seed) counted once")
    notes += claims.trial_notes(kept)
    parts = [sorted({row.workload for row in kept}), sorted({row.scale for row in kept})]
    title = " · ".join(", ".join(names) for names in parts if names) or "no trials"
    if any(row.data_simulated for row in kept):
        title += " · SIMULATED data"
    return Board(
        title=title,
        rows=tuple(kept),
        rankings=found,
        outcomes=count_outcomes(kept),
        opening=tuple(claims.opening(kept, device)) if kept else (),
        notes=tuple(notes) if kept else ("no trials yet: there is nothing to show",),
    )


def _entries(ranking: Ranking) -> list[dict[str, Any]]:
    ranked = [_entry(place.entry, place) for place in ranking.ranked]
    return ranked + [_entry(entry, None) for entry in ranking.unranked]


def _entry(entry: Entry, place: Ranked | None) -> dict[str, Any]:
    """One entry as JSON; ranks and tier are null where it is not ranked."""
    first, rung = entry.first, entry.last_rung
    return {
        "entry_id": entry.entry_id,
        "label": first.label,
        "architecture": first.architecture,
        "preconditioning": first.preconditioning,
        "rank_low": place.rank_low if place else None,
        "rank_high": place.rank_high if place else None,
        "tier": place.tier if place else None,
        "may_be_best": place.may_be_best if place else False,
        "score": entry.score,
        "score_se": entry.score_se,
        "training_sd": place.training_sd if place else None,
        "training_sd_source": place.training_source if place else None,
        "total_se": place.total_se if place else None,
        "confirmed": entry.confirmed,
        "train_distance": entry.mean("train_distance"),
        "denoise_error": entry.mean("denoise_error"),
        "stability": {
            name: entry.mean(name)
            for name in ("loss_rel_spread", "spikes_per_1k", "clipped_share", "nonfinite_share")
        },
        "throughput": {
            name: entry.mean(name)
            for name in (
                "train_img_per_sec",
                "sample_img_per_sec",
                "sample_sec_per_img",
                "peak_mem_gb",
            )
        },
        "params_m": entry.mean("params_m"),
        "gflops_per_img": entry.mean("gflops_per_img"),
        "nfe": first.nfe,
        "kimg": entry.mean("kimg"),
        "cost": entry.cost_sec,
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


def _cell(ranking: Ranking, cell: Cell) -> dict[str, Any]:
    return {
        "architecture": cell.architecture,
        "preconditioning": cell.preconditioning,
        "started": cell.started,
        "completed": cell.completed,
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
        "may_be_best": [place.entry.entry_id for place in ranking.may_be_best],
        "ranked": len(ranking.ranked),
        "confidence": 1 - ALPHA,
        "training_spread": {
            "kind": ranking.spread.kind,
            "rel_sd": ranking.spread.rel_sd if ranking.spread.kind != "none" else None,
            "source": ranking.spread.source,
        },
        "optimism": ranking.optimism,
        "rung_agreement": [
            {"fraction": a.fraction, "n": a.n, "rho": a.rho}
            for a in agreement.agreements(ranking.rows)
        ],
        "other_budgets": [
            {**dataclasses.asdict(o), "changes": o.changes} for o in other_budgets.others(ranking)
        ],
    }
