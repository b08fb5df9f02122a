"""The instability study as one picture: the seed's log, our series, and the arms."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.studies.log_verdict import LogVerdict
from bench.studies.loss_series import LossSeries
from bench.studies.seed_log import PIXELS

COLOURS = ("#4477aa", "#ddaa33", "#bb5566", "#000000")  # by the number of samples at t = 0
SHOWN_STEPS = 300


def draw(
    path: Path,
    *,
    log: LogVerdict,
    series: LossSeries,
    rows: Sequence[dict[str, Any]],
    label: str,
) -> None:
    """Write the picture. rows: of the arms, by key."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 11), layout="constrained")
    grid = figure.add_gridspec(3, 2, height_ratios=(1, 1, 1.1))
    _log(figure.add_subplot(grid[0, :]), log)
    _series(figure.add_subplot(grid[1, :]), series, label)
    raw, binned = figure.add_subplot(grid[2, 0]), figure.add_subplot(grid[2, 1])
    names = [row["arm"] for row in rows]
    _dots(raw, names, [row["swing"] for row in rows])
    raw.set(title="raw loss: largest / median", xlim=(0, None))
    verdicts = [row["verdict"] for row in rows]
    _dots(binned, verdicts, [row["scatter"] for row in rows])
    binned.set(title="at equal noise: wandering (1 is sampling alone)", xlim=(0, None))
    binned.axvline(1, color="grey", linewidth=0.8)
    figure.suptitle(f"trials: {label}")
    figure.savefig(path, dpi=110, format="png")


def _log(axes: Any, log: LogVerdict) -> None:
    fit = log.best
    _points(axes, log.steps, log.losses, fit.counts)
    for k in range(3):
        axes.axhline(k * fit.level + fit.rest_median, color=COLOURS[k], linewidth=0.8)
    unit = PIXELS / log.batch
    axes.secondary_yaxis("right", functions=(lambda y: y / unit, lambda y: y * unit)).set_ylabel(
        f"in units of 65,536 / {log.batch}"
    )
    axes.set(
        title=f"the seed's log; levels fitted as counts of t = 0 in a batch of {log.batch}",
        xlabel="step",
        ylabel="loss",
    )
    axes.legend(title="likeliest count", loc="upper left", ncols=4)


def _series(axes: Any, series: LossSeries, label: str) -> None:
    summed, counts = series.summed[-SHOWN_STEPS:], series.least_noise[-SHOWN_STEPS:]
    _points(axes, np.arange(len(summed)), summed / (series.pixels / series.batch), counts)
    axes.set(
        title=f"trained here with t recorded ({label}): the last {len(summed)} steps",
        xlabel="step",
        ylabel=f"summed loss / ({series.pixels} / {series.batch})",
    )
    axes.legend(title="samples at t = 0", loc="upper left", ncols=4)


def _points(axes: Any, x: Any, y: Any, counts: Any) -> None:
    axes.set_ylim(-0.05 * y.max(), 1.3 * y.max())  # room for the legend
    axes.plot(x, y, color="lightgrey", linewidth=0.7, zorder=1)
    for k in np.unique(counts):
        chosen = counts == k
        colour = COLOURS[min(int(k), len(COLOURS) - 1)]
        axes.scatter(x[chosen], y[chosen], s=18, color=colour, label=str(k), zorder=2)


def _dots(axes: Any, names: Sequence[str], values: Sequence[float | None]) -> None:
    known = [(v, i) for i, v in enumerate(values) if v is not None]
    axes.scatter([v for v, _ in known], [i for _, i in known], color=COLOURS[0])
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.grid(axis="x", linewidth=0.4)
