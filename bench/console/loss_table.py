"""`bench show loss-log`: what can be said of a loss whose noise levels are not known."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from rich.console import Group
from rich.table import Table

from bench.errors import BenchError
from bench.metrics.loss_log import RawStability, parse_loss_log, raw_stability


def read(file: Path) -> RawStability:
    """The raw statistics of a log file.

    Raises:
        BenchError: the file cannot be read, or holds no loss.
    """
    try:
        text = file.read_text(errors="replace")
    except OSError as error:
        raise BenchError(f"cannot read {file}: {error.strerror}") from error
    log = parse_loss_log(text)
    if not len(log.losses):
        raise BenchError(f"no loss in {file}; looked for lines with 'step: N, loss: X'")
    return raw_stability(log.steps, log.losses)


def to_json(stability: RawStability) -> str:
    return json.dumps(dataclasses.asdict(stability))


def table(stability: RawStability) -> Group:
    rows = Table(box=None, pad_edge=False, show_header=False)
    for name, value in dataclasses.asdict(stability).items():
        if name != "note":
            text = f"{value:.4g}" if isinstance(value, float) else str(value)
            rows.add_row(name.replace("_", " "), text)
    return Group(f"[bold]{stability.note}[/]: raw statistics, comparable with nothing", rows)
