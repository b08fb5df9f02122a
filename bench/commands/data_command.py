"""`bench data`: what is read from a path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bench.commands.options import DEFAULT_WORKLOAD, LocalPath, home_option, make_console
from bench.commands.reading_options import given, reading_options


@click.command()
@click.argument("path", type=LocalPath(), required=False)
@click.option("--workload", default=DEFAULT_WORKLOAD, show_default=True)
@click.option("--scale", default="laptop", show_default=True)
@reading_options
@home_option
def data(path: Path | None, workload: str, scale: str, home: Path | None, **reading: Any) -> None:
    """What is read from PATH: subjects, sizes, depth, labels, parts, sigma_data, thumbnails."""
    from bench.console import tables
    from bench.data import description
    from bench.sweep.record.home import Home
    from bench.workloads.workload import load as load_workload

    where, job = Home.find(home), load_workload(workload)
    chosen = job.scale(scale)
    where.make()
    cached = job.open_data(path, chosen, where.path, given(reading))
    picture = where.path / "thumbnails" / f"{cached.digest}.png"
    picture.parent.mkdir(exist_ok=True)
    description.thumbnails(cached, picture)
    make_console().print(tables.data(description.describe(cached), cached.notes, picture))
