"""Leaderboard runs: one flat run an entry, in the experiment `<workload>-leaderboard`.

MLflow's charts show ten runs and no nesting; these runs are what its charts, columns and filters
are good at, beside the sweep's parent and child runs. The best start last, since MLflow lists the
latest first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from bench.track import fields
from bench.track.fields import Point
from bench.track.writer import Writer
from leaderboards.board import build
from leaderboards.facts import SweepFacts
from leaderboards.measures import Measure
from leaderboards.rows import Row

PLACE = (  # of an entry
    *("score_se", "training_sd", "total_se", "rank_low", "rank_high", "n_seeds"),
    *("behind_at_most", "chance_best"),
)


def project_entries(
    writer: Writer,
    *,
    workload: str,
    rows: Sequence[Row],
    facts: SweepFacts,
    end_ms: int,
    tags: Mapping[str, str],
) -> tuple[str, ...]:
    """Write the board of a sweep's rows as runs; its claims. `tags` name the sweep."""
    board = build(rows, [facts])
    content = board.to_dict()
    entries = content["entries"]
    if not entries:
        return board.claims
    experiment = writer.experiment(f"{workload}-leaderboard")
    known = writer.known(experiment, tags["bench.sweep_id"])
    created: set[str] = set()
    for place, entry in enumerate(entries):
        score = Measure.of_score(content["protocols"][entry["protocol_digest"]])
        start = end_ms - 1 - place
        digest = hashlib.blake2b(
            fields.canonical([entry, score.key, start]).encode(), digest_size=16
        ).hexdigest()
        run = known.get(f"entry/{entry['entry_id']}")
        if run is not None and run.data.tags.get("bench.digest") == digest:
            continue
        name, entry_tags = _name(entry), _tags(entry)
        if run is None:
            first = {**tags, "bench.kind": "entry", "bench.entry_id": entry["entry_id"]}
            run_id = writer.create(experiment, name, start, first)
            created.add(run_id)
        else:
            run_id = run.info.run_id
            writer.running(run_id, name)
        points = _points(entry, score.key, end_ms)
        writer.log(run_id, points, fields.params(entry["params"]), entry_tags)
        writer.end(run_id, fields.STATUS.get(entry["outcome"], "FINISHED"), end_ms)
        writer.tag(run_id, "bench.digest", digest)
    if created:
        writer.known(experiment, tags["bench.sweep_id"], created)  # one each
    return board.claims


def _name(entry: Mapping[str, Any]) -> str:
    """'1-7 ddpmpp-edm adam 2e-3 b32', or the outcome of what has no score."""
    low, high = entry["rank_low"], entry["rank_high"]
    if low is None:
        rank = "unranked" if entry["outcome"] == "completed" else entry["outcome"]
        rank = "barred" if entry["barred"] else rank
    else:
        rank = str(low) if low == high else f"{low}-{high}"
    return f"{rank} {entry['label']}"


def _points(entry: Mapping[str, Any], score: str, t: int) -> list[Point]:
    """The score and every value under its key, and the entry's place."""
    values = {score: entry["score"], **{name: entry[name] for name in PLACE}}
    values |= {fields.metric_key(key, "eval"): value for key, value in entry["values"].items()}
    return [(key, float(value), t, 0) for key, value in values.items() if value is not None]


def _tags(entry: Mapping[str, Any]) -> dict[str, str]:
    return {
        "bench.label": entry["label"],
        **fields.cell_tags(entry["cell"]),
        "bench.outcome": entry["outcome"],
        "bench.tier": entry["tier"] or "",
        "bench.barred": entry["barred"] or "",
        "bench.may_be_best": str(entry["may_be_best"]).lower(),
        "bench.data": fields.data_kind(entry["data_simulated"]),
    }
