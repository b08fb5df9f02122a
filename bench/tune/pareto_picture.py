"""A tuning as a picture: all configurations on few cases, and the finalists with their errors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from string import ascii_uppercase
from typing import TYPE_CHECKING, Any

from bench.tune.tuning import Tuning

if TYPE_CHECKING:
    from bench.tune.tuning_findings import Finalist

DPI = 120
FRONT = "#b3261e"


def draw(path: Path, tuning: Tuning, rows: Sequence[Finalist]) -> None:
    """Write a PNG: score against evaluations a prediction, the first round on `select` left, the
    finalists on `report` right, each with one standard error."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 5.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    _first_round(left, tuning)
    _finalists(right, tuning, rows)
    data = tuning.trial.config.data
    kind = "SIMULATED data" if data.simulated else "real data"
    better = tuning.score.better_text
    figure.suptitle(
        f"{tuning.trial.sweep}, trial {tuning.trial.number}, {kind}: {tuning.score.title}, {better}"
    )
    figure.savefig(path, dpi=DPI, format="png")


def _first_round(axes: Any, tuning: Tuning) -> None:
    by_sampler: dict[str, list[tuple[int, float]]] = {}
    for number, measured in tuning.values[0].items():
        if measured.value is not None:
            one = tuning.candidates[number]
            by_sampler.setdefault(one.sample.sampler, []).append((one.nfe, measured.value))
    for name, points in sorted(by_sampler.items()):
        axes.scatter(*zip(*points, strict=True), s=18, alpha=0.7, label=name)
    own = tuning.values[0].get(0)
    if own is not None and own.value is not None:
        axes.scatter(
            tuning.candidates[0].nfe, own.value, marker="*", s=140, c="k", label="as judged"
        )
    axes.set_title(f"{len(tuning.candidates)} configurations, {tuning.counts[0]} cases of select")
    _label(axes, tuning)


def _finalists(axes: Any, tuning: Tuning, rows: Sequence[Finalist]) -> None:
    for letter, row in zip(ascii_uppercase, rows, strict=False):
        own = row.candidate.number == 0
        role = " (chosen)" if row.chosen else " (as judged)" if own else ""
        axes.errorbar(
            row.candidate.nfe,
            row.report.value,
            yerr=row.report.se,
            fmt="*" if own else "o",
            markersize=13 if own else 7,
            color=FRONT if row.on_front else "0.45",
            capsize=3,
            label=f"{letter}  {row.candidate.text}, {1000 * row.sec_per_case:.0f} ms each{role}",
        )
        axes.annotate(
            letter,
            (row.candidate.nfe, row.report.value),
            xytext=(6, 6),
            textcoords="offset points",
        )
    on_front = sorted((r.candidate.nfe, r.report.value) for r in rows if r.on_front)
    axes.step(*zip(*on_front, strict=True), where="post", color=FRONT, linewidth=1)
    axes.set_title(f"finalists, {rows[0].report.count} cases of report; red: on the front")
    axes.margins(x=0.1, y=0.1)
    _label(axes, tuning)


def _label(axes: Any, tuning: Tuning) -> None:
    values = axes.dataLim.intervaly
    axes.set_xscale("log")
    if tuning.score.scale == "ratio" and values[0] > 0:
        axes.set_yscale("log")
    axes.set_xlabel("network evaluations a prediction (NFE)")
    axes.set_ylabel(tuning.score.with_unit(tuning.score.title))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:.3g}")
        axis.set_minor_formatter("{x:.3g}")
        axis.set_tick_params(which="both", labelsize=7)
    axes.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.14), frameon=False)
