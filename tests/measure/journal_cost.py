"""What the journal costs a report: written, fsynced, folded into the history.

    python -m tests.measure.journal_cost [--folder DISK]

On a temporary folder unless another disk is named: an fsync costs what that disk makes it cost.
"""

from __future__ import annotations

import dataclasses
import tempfile
import time
from pathlib import Path

import click
import numpy as np

from bench.run import Report
from bench.sweep.record.history import History
from bench.sweep.record.journal import Journal
from tests.unit.sweep import fakes

METRICS = {f"throughput/metric_{i}": 1.0 / (i + 1) for i in range(12)}
SUGGESTION = {
    **dict.fromkeys(("trial_id", "entry_id", "label", "origin"), ""),
    **{name: {} for name in ("params", "distributions", "cost", "config")},
    "trial": 0,
    "seed": 0,
    "protected": False,
}
REPORT = Report(phase="progress", nimg=1000, metrics=METRICS, seconds={"train": 1.0, "save": 0.1})


@click.command()
@click.option("--reports", type=int, default=3000, show_default=True)
@click.option("--folder", type=click.Path(path_type=Path, exists=True))
def main(reports: int, folder: Path | None) -> None:
    with tempfile.TemporaryDirectory(dir=folder) as place:
        journal = Journal(Path(place) / "journal.jsonl")
        history = History()
        history.apply(journal.append("plan", **fakes.plan(sweep="cost").body()))
        history.apply(journal.append("suggest", **SUGGESTION))
        taken = []
        for _ in range(reports):
            begin = time.perf_counter()
            history.apply(journal.append("report", trial=0, **dataclasses.asdict(REPORT)))
            taken.append(time.perf_counter() - begin)
        size = journal.path.stat().st_size / len(journal.records)
        journal.close()
    median, late = np.quantile(taken, [0.5, 0.99]) * 1e3
    click.echo(f"{reports} reports of {size:.0f} bytes: median {median:.2f} ms, 99 % {late:.2f} ms")


if __name__ == "__main__":
    main()
