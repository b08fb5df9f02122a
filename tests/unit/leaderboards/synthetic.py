"""Synthetic rows for the leaderboard tests: known truths, stated noise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from leaderboards.rows import Row

PROTOCOL = {
    "metric": "fd_randconv",
    "direction": "lower",
    "scale": "ratio",
    "extractor": "randconv",
    "extractor_digest": "e1e2e3",
    "resizer": "area",
    "n_samples": 128,
    "reference": "report",
    "reference_digest": "r1r2r3",
    "resolution": 32,
    "sampler": "heun",
    "nfe": 35,
}


def row(trial: int, score: float | None = 50.0, **changes: Any) -> Row:
    """A completed row unless `changes` say otherwise."""
    base = Row(
        sweep="calm-otter",
        workload="echo",
        scale="laptop",
        trial=trial,
        trial_id=f"t{trial:03d}",
        entry_id=f"e{trial:03d}",
        seed=trial,
        cell={"architecture": "ddpmpp", "preconditioning": "edm"},
        label=f"ddpmpp-edm adam {trial}e-4 b32",
        origin="tpe",
        protected=False,
        outcome="completed" if score is not None else "failed",
        cause="" if score is not None else "worker died",
        params={"lr": trial * 1e-4, "optimizer": "adam", "batch_size": 32},
        protocol=dict(PROTOCOL),
        protocol_digest="p0",
        data_name="simulated-echo",
        data_digest="d0",
        data_simulated=True,
        score=score,
        score_se=None if score is None else 0.02 * abs(score),
        values={"cost/wall_sec": 500.0, "cost/busy_sec": 12.0},
    )
    return replace(base, **changes)


def sweep_rows(
    truths: np.ndarray,
    rng: np.random.Generator,
    *,
    seeds: int = 1,
    rel_sd: float = 0.1,
    rel_se: float = 0.02,
    normal: bool = False,
    origin: str = "tpe",
) -> list[Row]:
    """Rows of len(truths) entries from `seeds` seeds each: training noise, then sampling noise."""
    rows = []
    for entry, truth in enumerate(truths):
        for seed in range(seeds):
            z, e = rng.standard_normal(2)
            trained = truth * (1 + rel_sd * z) if normal else truth * np.exp(rel_sd * z)
            rows.append(
                row(
                    len(rows),
                    float(trained * np.exp(rel_se * e)),
                    entry_id=f"e{entry:03d}",
                    seed=seed,
                    score_se=float(trained * rel_se),
                    origin=origin,
                )
            )
    return rows
