"""The finalists of a tuning as a table."""

from __future__ import annotations

from rich.table import Table

from bench.tune.tuning import Tuning
from bench.tune.tuning_findings import finalists


def table(tuning: Tuning) -> Table:
    """Best on `select` first; what is on the front of score, evaluations and seconds is marked."""
    score = tuning.score
    shown = Table(title=f"finalists of trial {tuning.trial.number}, {tuning.trial.sweep}")
    for heading in ("drawn by", "NFE", "s each", "select", "report", "gain over as judged"):
        shown.add_column(heading, justify="left" if heading == "drawn by" else "right")
    shown.add_column("front")
    for row in finalists(tuning):
        error = f" ± {row.report.se:.2g}" if row.report.se is not None else ""
        if row.candidate.number == 0:
            gained = "as judged"
        else:
            gained = row.gain.text(score.unit) if row.gain else "unknown"
        shown.add_row(
            row.candidate.text + (" <- chosen" if row.chosen else ""),
            str(row.candidate.nfe),
            f"{row.sec_per_case:.3g}",
            f"{row.select.value:.4g}",
            f"{row.report.value:.4g}{error}",
            gained,
            "yes" if row.on_front else "",
        )
    return shown
