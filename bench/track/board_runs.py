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
from leaderboards.rows import Row

PLAIN = (
    *("score_se", "training_sd", "total_se", "rank_low", "rank_high", "denoise_error"),
    *("train_distance", "params_m", "gflops_per_img", "kimg", "cost", "n_seeds"),
)


def project_entries(
    writer: Writer,
    *,
    workload: str,
    rows: Sequence[Row],
    device: Any,
    end_ms: int,
    tags: Mapping[str, str],
) -> tuple[str, ...]:
    """Write the board of a sweep's rows as runs; its claims. `tags` name the sweep."""
    board = build(rows, device=device)
    content = board.to_dict()
    entries = content["entries"]
    if not entries:
        return board.claims
    experiment = writer.experiment(f"{workload}-leaderboard")
    known = writer.known(experiment, tags["bench.sweep_id"])
    told: set[str] = set()
    for place, entry in enumerate(entries):
        metric = str(content["protocols"][entry["protocol_digest"]].get("metric", "score"))
        start = end_ms - 1 - place
        digest = hashlib.blake2b(
            fields.canonical([entry, metric, start]).encode(), digest_size=16
        ).hexdigest()
        run = known.get(f"entry/{entry['entry_id']}")
        if run is not None and run.data.tags.get("bench.digest") == digest:
            continue
        name, own = _name(entry), _tags(entry)
        if run is None:
            first = {**tags, "bench.kind": "entry", "bench.entry_id": entry["entry_id"]}
            run_id = writer.create(experiment, name, start, first)
            told.add(run_id)
        else:
            run_id = run.info.run_id
            writer.running(run_id, name)
        writer.log(run_id, _points(entry, metric, end_ms), fields.params(entry["params"]), own)
        writer.end(run_id, fields.STATUS.get(entry["outcome"], "FINISHED"), end_ms)
        writer.tag(run_id, "bench.digest", digest)
    if told:
        writer.known(experiment, tags["bench.sweep_id"], told)  # one each
    return board.claims


def _name(entry: Mapping[str, Any]) -> str:
    """'1-7 ddpmpp-edm adam 2e-3 b32', or the outcome in place of a rank."""
    low, high = entry["rank_low"], entry["rank_high"]
    rank = entry["outcome"] if low is None else str(low) if low == high else f"{low}-{high}"
    return f"{rank} {entry['label']}"


def _points(entry: Mapping[str, Any], metric: str, t: int) -> list[Point]:
    values = {f"eval/{metric}": entry["score"], **{name: entry[name] for name in PLAIN}}
    for group in ("stability", "throughput"):
        values |= {f"{group}/{name}": value for name, value in entry[group].items()}
    return [(key, float(value), t, 0) for key, value in values.items() if value is not None]


def _tags(entry: Mapping[str, Any]) -> dict[str, str]:
    return {
        "bench.label": entry["label"],
        "bench.architecture": entry["architecture"],
        "bench.preconditioning": entry["preconditioning"],
        "bench.outcome": entry["outcome"],
        "bench.tier": entry["tier"] or "",
        "bench.may_be_best": str(entry["may_be_best"]).lower(),
        "bench.data": fields.data_kind(entry["data_simulated"]),
    }
