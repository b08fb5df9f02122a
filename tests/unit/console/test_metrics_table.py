"""The table of metrics: all of the family, as each declares itself; and its page."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

from rich.console import Console

from bench.console.metrics_table import measured, table, to_json
from bench.metrics import METRICS

PAGE = Path(__file__).parents[3] / "docs" / "metrics.md"


def test_each_metric_and_measure_has_its_row() -> None:
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(table(measured(())))
    text = console.export_text()
    lines = [line.split() for line in text.splitlines()]
    assert [line[0] for line in lines if line and line[0] in METRICS.table] == list(METRICS.table)
    assert ["prdc", "precision_randconv", "higher", "-", "difference", "pictures"] in lines
    assert ["psnr", "psnr", "higher", "dB", "difference", "targets"] in lines
    assert ["nfe", "-", "-", "-"] in lines
    assert "nearest_k=5" in text


def test_one_on_another_extractor_as_json() -> None:
    body = json.loads(to_json(measured(("kd:randconv64",))))
    (measure,) = body["kd:randconv64"]["measures"]
    assert (measure["key"], measure["direction"]) == ("kd_randconv64", "lower")
    assert body["kd:randconv64"]["settings"] == {"n_reference": 1024}


def test_every_metric_is_on_its_page() -> None:
    headings = [line for line in PAGE.read_text().splitlines() if line.startswith("## ")]
    named = set(re.findall(r"`(\w+)`", " ".join(headings)))
    assert named >= set(METRICS.table)
