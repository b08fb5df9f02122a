"""Arms of one axis, each trained from several seeds: their means and who is told from the best.

The score and what stands beside it, by arm; arms are compared on the score's own scale (ratios of
values, or their differences), each with its own spread over seeds, all pairs together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from bench.studies.seed_means import LEVEL, told_from
from bench.studies.study import Arm, Findings, Picture, Ran, Setting, Table
from bench.sweep.cost.footprint import predict
from bench.sweep.cost.price import cost
from bench.tasks import build_task
from leaderboards.measures import Measure

SEEDS = 3
COLUMNS = ("low", "high", "seeds", "images", "parameters (k)", "training GB, predicted")


def arms(setting: Setting, variants: Mapping[str, Mapping[str, Any]], why: str) -> tuple[Arm, ...]:
    """Each variant (its parameters by its name) from as many seeds as the user wants."""
    return tuple(
        Arm(name=f"{name}, seed {seed}", why=why, params=params, seed=seed)
        for seed in (setting.seed + k for k in range(setting.seeds or SEEDS))
        for name, params in variants.items()
    )


def compared(
    setting: Setting,
    variants: Sequence[str],
    ran: Sequence[Ran],
    *,
    name: str,
    title: str,
    beside: Sequence[Measure] = (),
    lines: Sequence[str] = (),
    more: Mapping[str, Mapping[str, Any]] | None = None,
) -> Findings:
    """The table and picture of arms; `more` are further columns, by variant."""
    score = build_task(ran[0].config).score
    by_variant = {v: [t for t in ran if t.arm.name.rpartition(", ")[0] == v] for v in variants}
    values = {v: scores_of(trials, score.key) for v, trials in by_variant.items()}
    shown = [m for m in beside if any(f"eval/{m.key}" in t.metrics for t in ran)]
    added = list(dict.fromkeys(key for row in (more or {}).values() for key in row))
    rows = []
    for v, trials in by_variant.items():
        config = trials[0].config
        mean, low, high = interval(list(values[v].values()))
        rows.append(
            (
                v,
                mean,
                low,
                high,
                f"{len(values[v])} of {len(trials)}",
                config.train.budget_nimg,
                cost(config.task, config.method).parameters / 1000,
                predict(config).training_peak_gb,
                *(_mean(scores_of(trials, m.key)) for m in shown),
                *((more or {}).get(v, {}).get(key) for key in added),
            )
        )
    titles = [m.title for m in shown]
    return Findings(
        lines=(*lines, verdict(values, score), *failures(ran)),
        tables=(
            Table(
                name=name,
                title=f"{title}: mean {score.title} over seeds and its 95 % interval",
                columns=(name, score.title, *COLUMNS, *titles, *added),
                rows=rows,
            ),
        ),
        pictures=(
            Picture(
                name=name,
                draw=partial(draw, values=values, title=score.title, label=setting.label),
            ),
        ),
        facts={"equal": setting.frame.budget.text},
    )


def scores_of(trials: Sequence[Ran], key: str) -> dict[int, float]:
    """A measure of the trials that completed, by seed."""
    return {
        t.arm.seed: float(t.metrics[f"eval/{key}"])
        for t in trials
        if t.outcome == "completed" and f"eval/{key}" in t.metrics
    }


def interval(values: Sequence[float]) -> tuple[float | None, float | None, float | None]:
    """The mean and its t interval; without ends from one value."""
    if not values:
        return None, None, None
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, None, None
    width = float(stats.t.ppf((1 + LEVEL) / 2, len(values) - 1))
    half = width * float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return mean, mean - half, mean + half


def verdict(values: Mapping[str, Mapping[int, float]], score: Measure) -> str:
    """The best arm, and which of the others are told from it, seed by seed."""
    known = {v: by_seed for v, by_seed in values.items() if by_seed}
    if not known:
        return "no trial completed"
    sign = 1 if score.direction == "higher" else -1
    best = max(known, key=lambda v: sign * _known_mean(known[v]))
    text = f"best {score.title}: {best}, {_known_mean(known[best]):.3g}"
    if len(known) < 2:
        return f"{text}; there is no other arm"
    if any(len(by_seed) < 2 for by_seed in known.values()):
        return f"{text}; nothing is told of arms trained from one seed: give more --seeds"
    is_ratio = score.scale == "ratio"
    scaled = {
        v: [math.log(x) if is_ratio else x for x in by_seed.values()]
        for v, by_seed in known.items()
    }
    apart = told_from(best, scaled)
    alike = ", ".join(v for v in known if v != best and v not in apart)
    told = f"{len(apart)} of the other {len(known) - 1} are told from it"
    return f"{text}; {told}" + (f"; not {alike}" if alike else "")


def failures(ran: Sequence[Ran]) -> list[str]:
    """Trials that did not complete, and why."""
    return [f"{t.arm.name}: {t.outcome}, {t.cause}" for t in ran if t.outcome != "completed"]


def draw(path: Path, *, values: Mapping[str, Mapping[int, float]], title: str, label: str) -> None:
    """Each arm's seeds as points, its mean and interval beside them."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(max(5, 1.3 * len(values) + 2), 4), layout="constrained")
    axes = figure.add_subplot()
    for place, by_seed in enumerate(values.values()):
        mean, low, high = interval(list(by_seed.values()))
        axes.plot([place + 0.12] * len(by_seed), list(by_seed.values()), "o", ms=4, color="0.6")
        if mean is not None:
            reach = [[0.0], [0.0]] if low is None or high is None else [[mean - low], [high - mean]]
            axes.errorbar([place], [mean], yerr=reach, fmt="o", capsize=4, color="C0")
    axes.set_xticks(range(len(values)), list(values))
    axes.set(ylabel=title, title=f"mean over seeds, 95 % interval ({label})")
    figure.savefig(path, dpi=110, format="png")


def _known_mean(by_seed: Mapping[int, float]) -> float:
    return float(np.mean(list(by_seed.values())))


def _mean(by_seed: Mapping[int, float]) -> float | None:
    return _known_mean(by_seed) if by_seed else None
