"""A tuning in the record of its sweep: one line in the journal, from which board and trackers have
it, and its files beside the trial's own."""

from __future__ import annotations

from typing import Any

from bench.sweep.record.home import Home
from bench.sweep.record.journal import Journal
from bench.tune import tuning_findings
from bench.tune.tuning import Tuning

KIND = "tuned"


def record(home: Home, tuning: Tuning) -> bool:
    """Write what was chosen into the sweep's journal; False where it is there already.

    Raises:
        BenchError: another process runs the sweep, or the disk is full.
    """
    body = _body(tuning)
    with Journal(home.journal(tuning.trial.sweep)) as journal:
        if any(_same(one, body) for one in journal.records):
            return False
        journal.append(KIND, **body)
    return True


def _body(tuning: Tuning) -> dict[str, Any]:
    chosen = tuning.candidates[tuning.chosen or 0]
    folder = tuning.folder.name
    return {
        "trial": tuning.trial.number,
        "text": chosen.text,
        "metrics": tuning_findings.metrics(tuning),
        "artifacts": [
            {"name": f"tune-{name}", "path": f"{folder}/{name}", "real": False}
            for name in (tuning_findings.PICTURE, tuning_findings.SUMMARY)
        ],
    }


def _same(one: dict[str, Any], body: dict[str, Any]) -> bool:
    return one["kind"] == KIND and {key: one.get(key) for key in body} == body
