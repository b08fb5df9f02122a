"""`bench show`: look at a part of the program, or at what a trial made."""

from __future__ import annotations

from pathlib import Path

import click

from bench.commands.options import LocalPath, home_option, make_console, task_option


@click.group()
def show() -> None:
    """Look at a part: a backbone, a search space, metrics, a trial's pictures, a loss log."""


@show.command()
@click.argument("name")
@click.option(
    "--size",
    "--resolution",
    "size",
    metavar="HxW",
    default="64x64",
    show_default=True,
    help="Of an image, or DxHxW of a volume, in pixels; one number for a square.",
)
@click.option("--channels", type=int, default=1, show_default=True)
@click.option("--classes", type=int, default=0, show_default=True)
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="One argument of it.")
@click.option("--json", "as_json", is_flag=True)
def backbone(
    name: str,
    size: str,
    channels: int,
    classes: int,
    settings: tuple[str, ...],
    as_json: bool,
) -> None:
    """Block structure, parameters and FLOPs of a backbone: a name, or your own my_net.py:build."""
    from bench.console import network_table

    args = network_table.parse_settings(settings)
    spatial = network_table.parse_size(size)
    description = network_table.describe(name, spatial, channels, classes, args)
    if as_json:
        click.echo(network_table.to_json(description))
    else:
        make_console().print(network_table.table(description))


@show.command()
@click.argument("name")
@task_option
@click.option("--scale", default="laptop", show_default=True)
def space(name: str, task: str | None, scale: str) -> None:
    """The parameters of a workload's search space."""
    from bench.console import tables
    from bench.workloads.workload import for_task

    make_console().print(tables.space(for_task(name, task), scale))


@show.command()
@click.argument("names", nargs=-1)
@click.option("--json", "as_json", is_flag=True)
def metrics(names: tuple[str, ...], as_json: bool) -> None:
    """What can be measured: keys, which way is better, units; of these NAMES, or of all."""
    from bench.console import metrics_table

    found = metrics_table.measured(names)
    if as_json:
        click.echo(metrics_table.to_json(found))
    else:
        make_console().print(metrics_table.table(found))


@show.command()
@click.argument("name", required=False)
@click.option("--trial", type=int, help="Which trial.  [default: the best on select]")
@home_option
def samples(name: str | None, trial: int | None, home: Path | None) -> None:
    """A trial's pictures beside real ones, as a PNG on this disk; then its other files: those
    nearest to training pictures beside these (closest.png), the table of cases, the best and the
    worst of them."""
    from bench.console.samples import beside_real, choose, other_files
    from bench.sweep.record.home import Home

    where = Home.find(home)
    history = where.history(where.latest() if name is None else name)
    chosen = choose(history, trial)
    for path in (beside_real(where, history, chosen), *other_files(where, history, chosen)):
        click.echo(path)


@show.command("loss-log")
@click.argument("file", type=LocalPath())
@click.option("--json", "as_json", is_flag=True)
def loss_log(file: Path, as_json: bool) -> None:
    """Raw statistics of a bare training log ("step: 12, loss: 0.3" lines): sigma unknown."""
    from bench.console import loss_table

    found = loss_table.read(file)
    if as_json:
        click.echo(loss_table.to_json(found))
    else:
        make_console().print(loss_table.table(found))
