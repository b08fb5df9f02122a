"""A synthetic journal for the tracking tests: every outcome, an interruption, two seeds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from leaderboards.measures import Measure
from leaderboards.rows import Row
from tests.unit.leaderboards.synthetic import PROTOCOL, row

START = 1_790_000_000.25
ENDS = ("completed", "pruned", "diverged", "out-of-memory", "failed", "completed")


def plan(sweep: str = "calm-otter", trials: int = 6) -> dict[str, Any]:
    return {
        "kind": "plan",
        "n": 0,
        "sweep": sweep,
        "workload": "echo",
        "scale": "laptop",
        "t": START,
        "trials": trials,
        "seed": 7,
        "data": {
            "name": "simulated-echo",
            "digest": "d0",
            "simulated": True,
            "path": "/home/somebody/patients/echo",
            "subjects": {"train": 40, "select": 10, "report": 10},
            "notes": ["3 files were skipped"],
        },
        "cell_axes": ["architecture", "preconditioning"],
        "measures": [
            Measure(key="eval/denoise_error", title="denoising error", direction="lower").to_dict(),
            Measure(key="cost/kimg", title="kimg").to_dict(),
        ],
        "protocol": dict(PROTOCOL),
        "protocol_digest": "p0",
        "versions": {"torch": "2.15.0", "numpy": "2.4.0"},
        "device": {"kind": "cpu", "cores": 2, "model": "test"},
        "budget": {"kimg": 12.0},
    }


def trial_row(number: int, outcome: str, sweep: str = "calm-otter") -> Row:
    score = 40.0 + number / 3 if outcome == "completed" else None
    return row(
        number,
        score,
        sweep=sweep,
        outcome=outcome,
        cause="" if outcome == "completed" else f"because {outcome}",
        cell={
            "architecture": ("ddpmpp", "adm")[number % 2],
            "preconditioning": ("edm", "vp")[number // 2 % 2],
        },
        values={
            "eval/denoise_error": 1.0 + 0.1 / 3,
            "throughput/train_img_per_sec": 210.0 / 7,
            "cost/kimg": 12.0,
        },
        rungs=[{"fraction": 0.2, "nimg": 2400, "value": 90.0 / 7}],
    )


def trial_records(
    number: int,
    outcome: str,
    picture: Path | None = None,
    sweep: str = "calm-otter",
    points: int = 5,
) -> list[dict[str, Any]]:
    t = START + 10.0 * number
    known = trial_row(number, outcome, sweep)
    done = outcome == "completed"
    records: list[dict[str, Any]] = [
        {
            "kind": "suggest",
            "trial": number,
            "trial_id": known.trial_id,
            "entry_id": known.entry_id,
            "seed": known.seed,
            "label": known.label,
            "origin": known.origin,
            "params": {**known.params, "architecture": known.cell["architecture"]},
            "t": t,
        },
        {"kind": "start", "trial": number, "host": "machine", "pid": 4711, "t": t + 0.1},
    ]
    if outcome != "failed":
        records.append(
            {
                "kind": "report",
                "trial": number,
                "phase": "rung",
                "nimg": 2400,
                "metrics": {"rung/fd_randconv": 90.0 / 7, "train/loss": 0.31},
                "curve": [
                    {"nimg": 2400 * (k + 1) // (points + 1), "train/loss": 1.0 / (k + 1)}
                    for k in range(points)
                ],
                "t": t + 2,
            }
        )
    if done:
        records.append(
            {
                "kind": "report",
                "trial": number,
                "phase": "final",
                "nimg": 12000,
                "metrics": {"eval/fd_randconv": known.score, "train/loss": 0.2},
                "t": t + 8,
            }
        )
    pictures = []
    if picture is not None:
        pictures = [
            {"path": str(picture), "name": "samples.png", "real": False},
            {"path": str(picture), "name": "real.png", "real": True},
        ]
    records.append(
        {
            "kind": "outcome",
            "trial": number,
            "outcome": outcome,
            "cause": known.cause,
            "row": known.to_dict(),
            "artifacts": pictures,
            "t": t + 9,
        }
    )
    return records


def journal(picture: Path | None = None, sweep: str = "calm-otter") -> list[dict[str, Any]]:
    """Six trials, the last interrupted once and taken up again; then the end."""
    records = [plan(sweep)]
    for number, outcome in enumerate(ENDS):
        records_here = trial_records(number, outcome, picture, sweep)
        if number == len(ENDS) - 1:
            stopped = trial_row(number, "interrupted", sweep)
            stop = {"kind": "outcome", "trial": number, "outcome": "interrupted"}
            records_here.insert(
                3, {**stop, "cause": "Ctrl-C", "row": stopped.to_dict(), "t": START + 55}
            )
            records_here.insert(
                4, {"kind": "start", "trial": number, "host": "m", "pid": 1, "t": START + 56}
            )
        records += records_here
    records.append(
        {"kind": "end", "t": START + 100, "summary": {"wall_sec": 100.0, "completed": 2}}
    )
    return records


def final_rows(sweep: str = "calm-otter") -> list[Row]:
    return [trial_row(number, outcome, sweep) for number, outcome in enumerate(ENDS)]
