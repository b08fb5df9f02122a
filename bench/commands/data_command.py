"""`bench data`: what is read from a path."""

from __future__ import annotations

from pathlib import Path

import click

from bench.commands.options import home_option, make_console
from bench.errors import unknown


@click.command()
@click.argument("path", type=click.Path(path_type=Path), required=False)
@click.option("--workload", default="echo", show_default=True)
@click.option("--scale", default="laptop", show_default=True)
@click.option("--group-by", metavar="REGEX", help="What in a file's path names its subject.")
@home_option
def data(
    path: Path | None, workload: str, scale: str, group_by: str | None, home: Path | None
) -> None:
    """What is read from PATH: subjects, sizes, parts, sigma_data, thumbnails."""
    from bench.console import tables
    from bench.data import description
    from bench.sweep.record.home import Home
    from bench.workloads.workload import load as load_workload

    where, job = Home.find(home), load_workload(workload)
    if scale not in job.scales:
        raise unknown(f"scale of {workload}", scale, job.scales)
    where.make()
    cached = job.open_data(path, job.scales[scale], where.path, group_by)
    picture = where.path / "thumbnails" / f"{cached.digest}.png"
    picture.parent.mkdir(exist_ok=True)
    description.thumbnails(cached, picture)
    make_console().print(tables.data(description.describe(cached), cached.notes, picture))
