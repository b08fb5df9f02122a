"""Leaderboard rows from a history: one a trial, whatever became of it."""

from __future__ import annotations

from typing import Any

from bench.sweep.record.history import History, Trial
from leaderboards.rows import Row
from leaderboards.scrubbing import base_name, scrubbed


def rows(history: History) -> list[Row]:
    """All trials of a sweep as rows, in the order they were suggested."""
    return [row(history.plan, t) for t in history.trials.values()]


def row(plan: dict[str, Any], trial: Trial) -> Row:
    """One trial as a row. Where files lie is in none of its texts: rows leave the machine."""
    told, protocol = trial.suggestion, plan["protocol"]
    metric, m = protocol["metric"], trial.metrics
    final = len(plan["rungs"]) - 1
    architecture, preconditioning = trial.cell
    nfe = m.get("rung/nfe")
    body = {
        "sweep": plan["sweep"],
        "workload": plan["workload"],
        "scale": plan["scale"],
        "trial": trial.number,
        "trial_id": told["trial_id"],
        "entry_id": told["entry_id"],
        "seed": told["seed"],
        "architecture": base_name(architecture),
        "preconditioning": preconditioning,
        "label": told["label"].replace(architecture, base_name(architecture)),
        "origin": told["origin"],
        "protected": told["protected"],
        "outcome": trial.outcome or "running",
        "cause": trial.cause,
        "params": {k: base_name(v) if isinstance(v, str) else v for k, v in told["params"].items()},
        "protocol": protocol,
        "protocol_digest": plan["protocol_digest"],
        "data_name": plan["data"]["name"],
        "data_digest": plan["data"]["digest"],
        "data_simulated": plan["data"]["simulated"],
        "score": m.get(f"eval/{metric}"),
        "score_se": m.get(f"eval/{metric}_se"),
        "select": trial.rungs.get(final),
        "train_distance": m.get(f"eval/{metric}_train"),
        "denoise_error": m.get("eval/denoise_error", m.get("rung/denoise_error")),
        "loss_rel_spread": m.get("stability/loss_rel_spread"),
        "spikes_per_1k": m.get("stability/spikes_per_1k"),
        "clipped_share": m.get("stability/clipped_share"),
        "nonfinite_share": m.get("stability/nonfinite_share"),
        "train_img_per_sec": m.get("throughput/train_img_per_sec"),
        "sample_img_per_sec": m.get("throughput/sample_img_per_sec"),
        "sample_sec_per_img": m.get("throughput/sample_sec_per_img"),
        "peak_mem_gb": m.get("throughput/peak_mem_gb"),
        "params_m": told["cost"]["parameters"] / 1e6,
        "gflops_per_img": told["cost"]["forward_flops"] / 1e9,
        "nfe": int(nfe) if nfe is not None else None,
        "kimg": trial.nimg / 1000,
        "wall_sec": trial.wall_sec if trial.ended_at is not None else None,
        "train_sec": trial.seconds.get("train"),
        "sample_sec": trial.seconds.get("sample"),
        "measure_sec": trial.seconds.get("measure"),
        "rungs": [
            {
                "fraction": plan["rungs"][i],
                "nimg": _nimg(told, i),
                "value": value,
                **_rung_more(trial, i, metric),
            }
            for i, value in sorted(trial.rungs.items())
        ],
        "seed_spread": plan["seed_spread"],
        "notes": trial.notes,
    }
    return Row.from_dict(scrubbed(body))


def _nimg(suggestion: dict[str, Any], rung: int) -> int:
    return int(suggestion["config"]["train"]["rungs_nimg"][rung])


def _rung_more(trial: Trial, rung: int, metric: str) -> dict[str, float]:
    """Where a journal has them: device-seconds of training up to a rung, its sampling error."""
    found = {}
    seconds = trial.rung_seconds.get(rung, {}).get("train")
    if seconds is not None:
        found["train_sec"] = seconds * trial.devices
    error = trial.rung_metrics.get(rung, {}).get(f"rung/{metric}_se")
    if error is not None:
        found["se"] = error
    return found
