"""The `bench` command: parse, delegate, print. Nothing heavy is imported before it is needed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from bench.boards import print_board, rows_from_journal, rows_from_mlflow
from bench.calibrating import calibrate
from bench.errors import BenchError, unknown
from bench.options import home_option, make_console, open_store, tracking_option
from bench.show import show
from bench.sweeping import confirm, resume, sweep

ENDED = ("completed", "pruned")  # how a trial of a sound program ends
FORMATS = ("table", "md", "csv", "json")


class OneLine(click.Group):
    """A group whose errors are one line and exit code 2."""

    def main(self, *args: Any, **extra: Any) -> Any:
        extra["standalone_mode"] = False
        extra.setdefault("prog_name", "bench")
        try:
            code = super().main(*args, **extra)
        except BenchError as error:
            _fail(str(error), error.exit_code)
        except click.UsageError as error:
            where = error.ctx.command_path if error.ctx else "bench"
            _fail(f"{error.format_message()} (see {where} --help)", 2, where)
        except click.ClickException as error:
            _fail(error.format_message(), 2)
        except (click.Abort, KeyboardInterrupt):
            _fail("stopped", 130)
        except BrokenPipeError:  # `bench ... | head`
            sys.stderr.close()
            sys.exit(0)
        sys.exit(code if isinstance(code, int) else 0)


def _fail(text: str, code: int, where: str = "bench") -> None:
    click.echo(f"{where}: error: {' '.join(text.split())}", err=True)
    sys.exit(code)


@click.group(cls=OneLine, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="diffusion-bench", prog_name="bench")
def main() -> None:
    """Which diffusion model is best on my data for my budget, and how sure can I be?"""


@main.command("list")
@home_option
def list_sweeps(home: Path | None) -> None:
    """All sweeps and where they stand."""
    from bench.console import tables
    from bench.sweep.home import Home

    make_console().print(tables.sweeps(Home.find(home)))


@main.command()
@click.argument("name", required=False)
@home_option
def status(name: str | None, home: Path | None) -> None:
    """Where one sweep stands: outcomes, running trials, best so far."""
    from bench.console import tables
    from bench.sweep.home import Home

    where = Home.find(home)
    make_console().print(tables.status(where, name or where.latest()))


@main.command()
@click.argument("workload", required=False)
@click.option("--sweep", "sweeps", multiple=True, help="This sweep; may be given again.")
@click.option("--from", "source", default="journal", show_default=True, help="journal or mlflow.")
@click.option("--format", "form", default="table", show_default=True, help="table, md, csv, json.")
@click.option("--top", type=int, default=15, show_default=True, help="Entries shown; 0: all.")
@home_option
@tracking_option
def leaderboard(
    workload: str | None,
    sweeps: tuple[str, ...],
    source: str,
    form: str,
    top: int,
    home: Path | None,
    tracking_uri: str | None,
) -> None:
    """Who may be best, and how sure that is."""
    from bench.sweep.home import Home
    from leaderboards import board as boards

    where = Home.find(home)
    if form not in FORMATS:
        raise unknown("format", form, FORMATS)
    if source == "mlflow":
        rows, device = rows_from_mlflow(where, workload, sweeps, tracking_uri)
    elif source == "journal":
        rows, device = rows_from_journal(where, workload, sweeps)
    else:
        raise unknown("source", source, ("journal", "mlflow"))
    print_board(make_console(), boards.build(rows, device=device), form, top or None)


@main.command()
@click.option("--port", type=click.IntRange(1, 65535), default=5000, show_default=True)
@home_option
@tracking_option
def ui(port: int, home: Path | None, tracking_uri: str | None) -> None:
    """Open the MLflow UI on the right store, on this machine only."""
    import os

    from bench.sweep.home import Home
    from bench.track import ui as mlflow_ui

    store = open_store(tracking_uri, Home.find(home), check=True)
    if store.remote:
        click.echo(f"the store is a server with its own UI: {mlflow_ui.address(store)}")
        return
    argv = mlflow_ui.command(store, port)
    click.echo(f"MLflow UI on {mlflow_ui.address(store, port)} (Ctrl-C ends it)")
    os.execvpe(argv[0], argv, {**os.environ, **mlflow_ui.environment()})


@main.command()
@click.argument("name", required=False)
@home_option
@tracking_option
def sync(name: str | None, home: Path | None, tracking_uri: str | None) -> None:
    """Rebuild or complete a sweep's record in MLflow from its journal."""
    from bench.sweep import journal
    from bench.sweep.home import Home
    from bench.sweep.projection import replay
    from bench.track.projection import Projector

    where = Home.find(home)
    name = name or where.latest()
    where.history(name)
    store = open_store(tracking_uri, where, check=True)
    projector = Projector(store)
    projector.project(replay(journal.read(where.journal(name)), where.folder(name)))
    click.echo(f"sweep {name}: MLflow at {store.shown} has all of it")


@main.command()
@click.option("--trials", type=int, default=4, show_default=True)
@click.pass_context
def smoke(context: click.Context, trials: int) -> None:
    """A small sweep in a folder that is thrown away; the exit code is the verdict."""
    import tempfile

    from bench.sweep.home import Home
    from leaderboards import board as boards
    from leaderboards import text

    with tempfile.TemporaryDirectory(prefix="bench-smoke-") as folder:
        where = Path(folder)
        context.invoke(sweep, workload="echo", trials=trials, scale="smoke", home=where)
        rows, device = rows_from_journal(Home(where), None, ())
        told, same = rows_from_mlflow(Home(where), None, (), None)
        ours, theirs = (boards.build(r, device=d) for r, d in ((rows, device), (told, same)))
    failed = [f"trial {r.trial} {r.outcome}: {r.cause}" for r in rows if r.outcome not in ENDED]
    if text.to_json(ours) != text.to_json(theirs):
        failed.append("the board from MLflow is not the journal's")
    for line in failed:
        click.echo(f"smoke: {line}", err=True)
    click.echo(f"smoke: {'failed' if failed else 'passed'}")
    context.exit(1 if failed else 0)


@main.command()
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
    from bench.data import inspect
    from bench.sweep.home import Home
    from bench.workloads import base

    where, job = Home.find(home), base.load(workload)
    if scale not in job.scales:
        raise unknown(f"scale of {workload}", scale, job.scales)
    where.make()
    cached = job.open_data(path, job.scales[scale], where.path, group_by)
    picture = where.path / "thumbnails" / f"{cached.digest}.png"
    picture.parent.mkdir(exist_ok=True)
    inspect.thumbnails(cached, picture)
    make_console().print(tables.data(inspect.describe(cached), cached.notes, picture))


for command in (sweep, resume, confirm, calibrate, show):
    main.add_command(command)
