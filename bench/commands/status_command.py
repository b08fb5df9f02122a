"""`bench status`: where one sweep stands."""

from __future__ import annotations

from pathlib import Path

import click

from bench.commands.options import home_option, make_console


@click.command()
@click.argument("name", required=False)
@home_option
def status(name: str | None, home: Path | None) -> None:
    """Where one sweep stands: outcomes, running trials, best so far."""
    from bench.console import tables
    from bench.sweep.record.home import Home

    where = Home.find(home)
    make_console().print(tables.status(where, where.latest() if name is None else name))
