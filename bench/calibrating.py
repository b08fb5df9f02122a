"""`bench calibrate`: what early rungs know of the final ranking, measured and kept for pruning."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.options import home_option, make_console, open_store, say, tracking_option

if TYPE_CHECKING:
    from bench.sweep.calibrate import Calibration


@click.command()
@click.argument("workload")
@click.option("--trials", type=int, default=24, show_default=True, help="Run to their end.")
@click.option("--from", "source", metavar="SWEEP", help="Take a finished sweep that did not prune.")
@click.option("--data", type=click.Path(path_type=Path), help="Your data; none: simulated.")
@click.option("--group-by", metavar="REGEX", help="What in a file's path names its subject.")
@click.option("--scale", help="smoke, laptop, gpu or paper.  [default: by the hardware]")
@click.option("--space", metavar="FILE.py", help="Your own search space.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--equal", default="flops", show_default=True, help="flops, nimg or gpu-seconds.")
@click.option("--budget", type=float, help="Of each trial, as of bench sweep.")
@click.option("--concurrency", type=int, help="Trials at once.  [default: one a GPU or core]")
@home_option
@tracking_option
def calibrate(
    workload: str, source: str | None, home: Path | None, tracking_uri: str | None, **wish: Any
) -> None:
    """Measure how far each rung's ranking agrees with the final one; pruning then uses it.

    Runs the cells' defaults and what a sweep would suggest, without pruning.
    """
    from bench.sweep import calibrate as calibration
    from bench.sweep import session
    from bench.sweep.home import Home
    from bench.sweep.plan import Wish
    from bench.sweeping import run_sweep

    console, where = make_console(), Home.find(home)
    if source is None:
        name = where.free_name(f"calibrate-{workload}")
        asked = Wish(workload=workload, prune=False, **wish)
        session.check_names(asked, where, name)
        store = open_store(tracking_uri, where, check=True)
        prepared = session.prepare(asked, where, name, lambda text: say(console, f"{text} ..."))
        run_sweep(prepared, where, console, store)
        source = name
    found = calibration.measure(where.history(source))
    path = calibration.store(where, found)
    for line in told(found):
        say(console, line)
    say(console, f"kept in {path}; sweeps of the same data, scale and budget prune by it")


def told(found: Calibration) -> list[str]:
    """The calibration, a rung a line."""
    lines = [
        f"rung against the end, {found.trials} trials of {found.workload} at {found.scale} scale:"
    ]
    for rung in found.rungs:
        keep = "do not prune" if rung.keep == 1 else f"keep {rung.keep:.0%}"
        lines.append(
            f"  {rung.fraction:4.0%}  Spearman {rung.spearman:.2f} "
            f"({rung.spearman_low:.2f} to {rung.spearman_high:.2f}), "
            f"Kendall {rung.kendall:.2f}: {keep}"
        )
    return lines
