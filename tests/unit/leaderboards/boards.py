"""A sweep with every outcome, and its board as a terminal shows it."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from rich.console import Console

from leaderboards.board import build
from leaderboards.draw import Drawing
from leaderboards.facts import SweepFacts
from leaderboards.measures import Measure
from leaderboards.rows import Row
from tests.unit.leaderboards.synthetic import row


def many(n: int = 40) -> list[Row]:
    """A sweep with every outcome, in four architectures and three setups."""
    rng = np.random.default_rng(1)
    outcomes = ["completed"] * 5 + ["pruned", "diverged", "out-of-memory"]
    rows = []
    for k in range(n):
        outcome = outcomes[k % 8]
        score = float(60 * np.exp(0.5 * rng.normal()))
        architecture = ("adm", "ddpmpp", "ncsnpp", "small_unet")[k % 4]
        setup = ("edm", "vp", "ve")[k // 4 % 3]
        rows.append(
            row(
                k,
                score if outcome == "completed" else None,
                outcome=outcome,
                cause="" if outcome == "completed" else "at 20% of the budget",
                cell={"architecture": architecture, "preconditioning": setup},
                label=f"{architecture}-{setup} adamw {1e-3 * (k + 1):.1e} b32 w32",
                rungs=[{"fraction": 0.2, "nimg": 2400, "value": score * 2}],
                values={
                    "eval/denoise_error": 0.9,
                    "eval/denoise_error_se": 0.01,
                    "stability/loss_rel_spread": 0.11,
                    "stability/spikes_per_1k": 2.0,
                    "throughput/train_img_per_sec": 212.0,
                    "throughput/sample_img_per_sec": 19.5,
                    "throughput/peak_mem_gb": 0.8,
                    "size/params_m": 0.31,
                    "size/gflops_per_img": 0.042,
                    "cost/kimg": 12.0,
                    "cost/busy_sec": 12.0,
                    "eval/to_train": score,
                },
            )
        )
    return rows


MEASURES = (
    Measure(
        key="eval/denoise_error",
        title="denoising error",
        direction="lower",
        drop=5,
        reference=1.0,
        reference_text="the best linear denoiser of the data",
        reference_verdict="nothing here has learned more than means and covariances",
    ),
    Measure(key="stability/loss_rel_spread", title="loss spread", digits=2, drop=6),
    Measure(key="throughput/train_img_per_sec", title="train img/s", direction="higher", drop=3),
    Measure(key="cost/busy_sec", title="busy s", drop=4, meaning="work of one trial"),
)
FACTS = SweepFacts(
    sweep="calm-otter", device="kind cpu, cores 2", data_simulated=True, measures=MEASURES
)


def draw(
    rows: list[Row], width: int, top: int | None = 15, facts: Sequence[SweepFacts] = (FACTS,)
) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(Drawing(board=build(rows, facts), top=top))
    return console.export_text()
