"""`bench smoke`: a small sweep for CI; the exit code is the verdict."""

from __future__ import annotations

from pathlib import Path

import click

from bench.commands.board_printing import rows_from_journal, rows_from_mlflow
from bench.commands.options import DEFAULT_WORKLOAD, task_option
from bench.commands.sweep_command import sweep

ENDED = ("completed", "pruned")  # how a trial of a sound program ends


@click.command()
@click.argument("workload", default=DEFAULT_WORKLOAD)
@task_option
@click.option("--trials", type=int, default=4, show_default=True)
@click.pass_context
def smoke(context: click.Context, workload: str, task: str | None, trials: int) -> None:
    """A small sweep of a workload in a folder that is thrown away; the exit code is the verdict.

    WORKLOAD is echo where none is named.
    """
    import tempfile

    from bench.sweep.record.home import Home
    from leaderboards import board as boards
    from leaderboards import text

    with tempfile.TemporaryDirectory(prefix="bench-smoke-") as folder:
        where = Path(folder)
        asked = {"workload": workload, "task": task, "trials": trials}
        context.invoke(sweep, **asked, scale="smoke", home=where)
        rows, facts = rows_from_journal(Home(where), None, ())
        ours = boards.build(rows, facts)
        theirs = boards.build(*rows_from_mlflow(Home(where), None, (), None))
    failed = [f"trial {r.trial} {r.outcome}: {r.cause}" for r in rows if r.outcome not in ENDED]
    if text.to_json(ours) != text.to_json(theirs):
        failed.append("the board from MLflow is not the journal's")
    for line in failed:
        click.echo(f"smoke: {line}", err=True)
    click.echo(f"smoke: {'failed' if failed else 'passed'}")
    context.exit(1 if failed else 0)
