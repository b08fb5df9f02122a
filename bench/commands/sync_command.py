"""`bench sync`: a sweep's record in MLflow, completed from its journal."""

from __future__ import annotations

from pathlib import Path

import click

from bench.commands.options import home_option, open_store, tracking_option


@click.command()
@click.argument("name", required=False)
@home_option
@tracking_option
def sync(name: str | None, home: Path | None, tracking_uri: str | None) -> None:
    """Rebuild or complete a sweep's record in MLflow from its journal."""
    from bench.sweep.record import journal
    from bench.sweep.record.home import Home
    from bench.sweep.record.publishing import replay
    from bench.track.mlflow_projection import Projector

    where = Home.find(home)
    name = name or where.latest()
    where.history(name)
    store = open_store(tracking_uri, where, check=True)
    projector = Projector(store)
    projector.project(replay(journal.read(where.journal(name)), where.folder(name)))
    click.echo(f"sweep {name}: MLflow at {store.shown} has all of it")
