"""`bench list`: all sweeps and where they stand."""

from __future__ import annotations

from pathlib import Path

import click

from bench.commands.options import home_option, make_console


@click.command("list")
@home_option
def list_sweeps(home: Path | None) -> None:
    """All sweeps and where they stand."""
    from bench.console import tables
    from bench.sweep.record.home import Home

    make_console().print(tables.sweeps(Home.find(home)))
