"""`bench ui`: the MLflow UI on the right store."""

from __future__ import annotations

from pathlib import Path

import click

from bench.commands.options import home_option, open_store, tracking_option


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), default=5000, show_default=True)
@home_option
@tracking_option
def ui(port: int, home: Path | None, tracking_uri: str | None) -> None:
    """Open the MLflow UI on the right store, on this machine only."""
    import os

    from bench.sweep.record.home import Home
    from bench.track import ui as mlflow_ui

    store = open_store(tracking_uri, Home.find(home), check=True)
    if store.remote:
        click.echo(f"the store is a server with its own UI: {mlflow_ui.address(store)}")
        return
    argv = mlflow_ui.command(store, port)
    click.echo(f"MLflow UI on {mlflow_ui.address(store, port)} (Ctrl-C ends it)")
    os.execvpe(argv[0], argv, {**os.environ, **mlflow_ui.environment()})
