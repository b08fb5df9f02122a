"""The files of a study's findings: a CSV for each table, a PNG for each picture, study.json."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path

from bench.studies.study import Findings, Setting, Study, Table
from bench.sweep.planning import plan_making as planning
from leaderboards.scrubbing import scrubbed


def write_findings(
    folder: Path, study: Study, setting: Setting, findings: Findings, trials: int
) -> None:
    """Into a folder that is there. `trials`: how many the study had. No text of them says where
    files lie."""
    for table in findings.tables:
        _csv(folder / f"{table.name}.csv", table, setting)
    for picture in findings.pictures:
        picture.draw(folder / f"{picture.name}.png")
    for page in findings.pages:
        page.draw(folder / page.name)
    body = {
        "study": study.name,
        "trials": trials,
        "of": setting.of.arm.name if setting.of else None,
        "question": study.title,
        "workload": setting.workload.name,
        "scale": setting.scale.name,
        "seed": setting.seed,
        "budget": setting.frame.budget.text,
        "data": {
            "name": setting.data.name,
            "digest": setting.data.digest,
            "simulated": setting.data.simulated,
        },
        "versions": planning.versions(),
        "lines": list(findings.lines),
        "claims": [dataclasses.asdict(claim) for claim in findings.claims],
        "facts": dict(findings.facts),
    }
    (folder / "study.json").write_text(json.dumps(scrubbed(body), indent=1) + "\n")


def _csv(path: Path, table: Table, setting: Setting) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*table.columns, "data"])
        for row in table.rows:
            cells = ["" if v is None else scrubbed(v) for v in row]
            writer.writerow([*cells, table.source or setting.label])
