"""The reliability diagram and the error-retention curve of shares, as one PNG."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.metrics import reliability
from bench.metrics.reliability import Tables

COLOURS = ("#4477aa", "#bb5566", "#ddaa33", "#228833", "#66ccee", "#aa3377")
DPI = 120
SHOWN = 4.0  # of the error's share of voxels: where all that can be seen of the curve happens
FEW = 30  # voxels, whose frequency says little
TICKS = (0, 0.25, 0.5, 0.75, 1)


def drawn(all_cases: Tables, *, classes: NDArray[np.int64], simulated: bool, cases: int) -> bytes:
    """A PNG. all_cases: the tables of all cases as one; classes: the labels they are of."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 5.4), layout="constrained")
    grid = figure.add_gridspec(2, 2, height_ratios=(3, 1))
    above = figure.add_subplot(grid[0, 0])
    below = figure.add_subplot(grid[1, 0], sharex=above)
    _diagram(above, below, all_cases, classes)
    _retention(figure.add_subplot(grid[:, 1]), all_cases)
    kind = "SIMULATED data" if simulated else "real data"
    hard = "" if reliability.undecided_share(all_cases) else "; answers are hard, 0 or 1"
    figure.suptitle(f"{cases} cases of the report part, {kind}{hard}")
    page = io.BytesIO()
    figure.savefig(page, dpi=DPI, format="png")
    return page.getvalue()


def _diagram(above: Any, below: Any, all_cases: Tables, classes: NDArray[np.int64]) -> None:
    """How often a voxel was the class, by the share it was given; how many voxels there were."""
    above.plot((0, 1), (0, 1), color="grey", linewidth=0.8, linestyle="--", zorder=1)
    edges, hollow = np.linspace(0, 1, reliability.BINS + 1), False
    for place, label in enumerate(classes.tolist()):
        voxels, given, true = reliability.diagram(all_cases.by_class[0, place]).T
        some, colour = voxels > 0, COLOURS[place % len(COLOURS)]
        name = "foreground" if len(classes) == 1 else f"class {label}"
        above.plot(given[some], true[some], marker="o", markersize=5, color=colour, label=name)
        few = some & (voxels < FEW)
        if few.any():
            above.scatter(given[few], true[few], s=22, color="white", edgecolor=colour, zorder=3)
            hollow = True
        below.stairs(voxels, edges, color=colour)
    above.set(ylabel="how often it was the class", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    above.set_title(
        f"reliability: ECE {reliability.calibration_error(all_cases):.3g} of all voxels"
        + _of_undecided(all_cases)
    )
    above.set_yticks(TICKS)
    above.tick_params(labelbottom=False)
    above.annotate("class given too little", (0.03, 0.97), color="0.45", fontsize=8, va="center")
    above.annotate(
        "class given too much", (0.97, 0.03), color="0.45", fontsize=8, ha="right", va="center"
    )
    title = f"hollow: fewer than {FEW} voxels" if hollow else None
    above.legend(loc="center left", frameon=False, title=title)
    below.set(yscale="log", ylabel="voxels", xlabel="share given to the class")
    below.set_ylim(bottom=0.5)
    below.set_xticks(TICKS)
    for axes in (above, below):
        axes.grid(linewidth=0.3)


def _of_undecided(all_cases: Tables) -> str:
    error = reliability.calibration_error(all_cases, undecided=True)
    return "" if np.isnan(error) else f", {error:.3g} of undecided ones"


def _retention(axes: Any, all_cases: Tables) -> None:
    """What error is left where only the most certain voxels are kept."""
    kept, errors = reliability.retention(all_cases)
    error = float(errors[-1])
    axes.plot(
        (0, 100), (0, 100 * error), color="grey", linewidth=0.8, linestyle="--", label="by chance"
    )
    axes.plot(
        (0, 100 * (1 - error), 100), (0, 0, 100 * error), color="black", linewidth=0.8,
        linestyle=":", label="every wrong voxel dropped first",
    )  # fmt: skip
    axes.plot(100 * kept, 100 * errors, color=COLOURS[0], label="by certainty")
    first = max(0.0, 1 - SHOWN * error) if error else 0.0
    axes.set_xlim(100 * first, 100)
    axes.set_ylim(0, 135 * error if error else 1)
    gain = reliability.retention_gain(all_cases)
    of_way = "no voxel is wrong" if not error else f"{gain:.0%} of the way from chance to ideal"
    axes.set_title(f"error-retention: {of_way}")
    axes.set_xlabel("voxels kept, % of all; the least certain are dropped first")
    axes.set_ylabel("wrong voxels among those kept, % of all")
    axes.legend(loc="upper left", frameon=False)
    axes.grid(linewidth=0.3)
