"""Every claim of the document, and what the studies that were run here say of it.

Each study says what it finds of the claims it is about (`Findings.claims`); this one trains nothing
and collects them from the folders of findings beside it, the newest of each study at each scale
and on each data set. It writes a page, claims.md.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from bench.errors import BenchError
from bench.studies.study import Answer, Findings, Picture, Setting, Study, Table


class Claims(Study):
    name: ClassVar[str] = "claims"
    title: ClassVar[str] = "which of the document's claims hold here?"
    workloads: ClassVar[frozenset[str]] = frozenset({"echo"})

    def answer(self, setting: Setting) -> Answer:
        found = newest(setting.findings, setting.workload.name)
        claims = [
            (claim["text"], claim["verdict"], claim["evidence"], study["study"], _where(study))
            for study in found
            for claim in study.get("claims", ())
        ]
        if not claims:
            raise BenchError(
                f"no study of {setting.workload.name} has findings in {setting.findings.name} yet; "
                f"bench study {setting.workload.name} lists them"
            )
        yield ()
        verdicts = [row[1] for row in claims]
        counts = ", ".join(f"{verdicts.count(v)} {v}" for v in dict.fromkeys(verdicts))
        return Findings(
            lines=(f"{len(claims)} claims by {len(found)} studies: {counts}",),
            tables=(
                Table(
                    name="claims",
                    title="claims of the document",
                    columns=("claim", "here", "evidence", "study", "trained and judged on"),
                    rows=claims,
                    source="on the data that each row names",
                ),
            ),
            pictures=(),
            pages=(
                Picture(
                    name="claims.md", draw=partial(_page, source=setting.workload, rows=claims)
                ),
            ),
        )


def newest(folder: Path, workload: str) -> list[dict[str, Any]]:
    """study.json of the newest findings that say something of a claim, of each study of a workload,
    by study, scale, data and network."""
    by_study: dict[tuple[str, ...], tuple[float, dict[str, Any]]] = {}
    for path in sorted(folder.glob("*/study.json")):
        body = json.loads(path.read_text())
        at = path.stat().st_mtime
        key = body["study"], body["scale"], body["data"]["digest"], str(body.get("of"))
        claims = body["workload"] == workload and body["study"] != Claims.name and body["claims"]
        if claims and at >= by_study.get(key, (0.0, {}))[0]:
            by_study[key] = (at, body)
    return [body for _, (_, body) in sorted(by_study.items())]


def _where(study: dict[str, Any]) -> str:
    data = study["data"]
    simulated = ", SIMULATED" if data["simulated"] else ""
    name = data.get("name", data["digest"])
    trained = study.get("trials") or study.get("of")
    budget = f", {study['budget']} each" if trained else ""
    of = f", {study['of']}" if study.get("of") else ""
    return f"{study['scale']} scale{budget}, {name}{simulated}{of}"


def _page(path: Path, *, source: Any, rows: Sequence[Sequence[str]]) -> None:
    lines = [
        f"# Claims of the document behind `{source.name}`",
        "",
        f"{source.source}. Made by `bench study {source.name} claims` from the studies that were",
        f"run before it (`bench study {source.name}` lists them).",
        "",
        "| claim | here | evidence | study | trained and judged on |",
        "|---|---|---|---|---|",
        *(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows),
    ]
    path.write_text("\n".join(lines) + "\n")


STUDY = Claims()
