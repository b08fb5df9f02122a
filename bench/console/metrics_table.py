"""`bench show metrics`: what can be measured, from the table of metrics and what each declares."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from bench.metrics import EXTRACTORS, METRICS
from bench.metrics.metric import Metric
from leaderboards.measures import Measure


def measured(names: tuple[str, ...]) -> dict[str, Metric]:
    """The metrics of these names, all of the table's where there are none, at their defaults.

    Raises:
        BenchError: an unknown metric, or one whose extractor cannot be had.
    """
    classes = {name: METRICS.load(name) for name in names or tuple(METRICS.table)}
    return {name: one(dict(one.settings_taken())) for name, one in classes.items()}


def table(metrics: dict[str, Metric]) -> RenderableType:
    rows = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("metric", "measures", "better", "unit", "compared by", "needs"):
        rows.add_column(column)
    for name, metric in metrics.items():
        needs = ", ".join(sorted(metric.needs)) or "-"
        for place, measure in enumerate(metric.measures):
            first = (escape(name), needs) if not place else ("", "")
            rows.add_row(first[0], escape(measure.key), *_of(measure), first[1])
    settings = sorted({f"{k}={v}" for m in metrics.values() for k, v in m.settings_taken().items()})
    extractors = ", ".join(sorted(EXTRACTORS.table))
    return Group(
        rows,
        "",
        "ask for one beside a workload's own: bench sweep WORKLOAD --metric NAME, or "
        "NAME:EXTRACTOR on features of its own; docs/metrics.md says when to trust which",
        escape(f"extractors: {extractors} (timm:MODEL[@FILE.safetensors]; inception is FID)"),
        escape("settings, as --set KEY=VALUE: " + "; ".join(settings)),
    )


def to_json(metrics: dict[str, Metric]) -> str:
    body: dict[str, Any] = {
        name: {
            "measures": [dataclasses.asdict(measure) for measure in metric.measures],
            "needs": sorted(metric.needs),
            "settings": dict(metric.settings_taken()),
        }
        for name, metric in metrics.items()
    }
    return json.dumps(body, indent=2)


def _of(measure: Measure) -> tuple[str, str, str]:
    if measure.direction == "none":
        return "-", measure.unit or "-", "-"
    return measure.direction, measure.unit or "-", measure.scale
