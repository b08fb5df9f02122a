"""What each distance says of real retrainings: does it tell configurations apart over their seeds?

    python -m tests.measure.retrainings SWEEP [--home FOLDER]

Reads the board rows of a sweep of which at least nine entries were trained from four seeds or more
(`bench confirm SWEEP --each cell --seeds 3`). For every measure of pictures or predictions whose
logarithm can be taken and that says which way is better: F of a one-way ANOVA of the logarithms by
entry (the variance between entries over that between seeds) and its 95 % interval, also within each
setup and architecture, as a large difference between these is easily seen; then how two measures
agree, as Spearman's rank correlation over all trainings and over the means of entries.
Further distances come into a sweep by `--metric fd:drawn`, or those of the evidence by
`--metric fd:tests/measure/real_pictures.py:resnet20` (`resnet56`, `PixelMean`).
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray
from scipy import stats

from bench.sweep.record import board_rows
from bench.sweep.record.home import Home
from leaderboards.facts import facts_of
from leaderboards.measures import Measure
from leaderboards.rows import Row
from tests.measure.replay import table_of

LEAST_OF_PART = 3
Logs = NDArray[np.float64]  # [entries, seeds]


def logs_of(table: list[list[Row]], measure: Measure) -> Logs | None:
    """Logarithms of a measure by entry and seed; None where a training has no positive value."""
    values = [[_value(row, measure.key) for row in of] for of in table]
    if any(value is None or value <= 0 for of in values for value in of):
        return None
    return np.log(np.array(values, float))


def discrimination(logs: Logs) -> tuple[float, float, float]:
    """F of the one-way ANOVA by entry, and its 95 % interval, for entries that are normal
    draws (Searle, Casella and McCulloch 1992: balanced data, one random factor)."""
    entries, seeds = logs.shape
    found = float(stats.f_oneway(*logs).statistic)
    chance = stats.f(entries - 1, entries * (seeds - 1))
    return found, found / float(chance.ppf(0.975)), found / float(chance.ppf(0.025))


def agreement(one: Logs, other: Logs) -> tuple[float, float]:
    """Spearman's rank correlation over all trainings, and over the means of entries."""
    trainings = stats.spearmanr(one.ravel(), other.ravel()).statistic
    return float(trainings), float(stats.spearmanr(one.mean(1), other.mean(1)).statistic)


def parts_of(table: list[list[Row]]) -> list[tuple[str, str, list[int]]]:
    """(axis, value, places of the entries) for each value of a cell's axis with three or more."""
    by_value: dict[tuple[str, str], list[int]] = {}
    for place, of in enumerate(table):
        for part in of[0].cell.items():
            by_value.setdefault(part, []).append(place)
    return [(*part, places) for part, places in by_value.items() if len(places) >= LEAST_OF_PART]


def _value(row: Row, key: str) -> float | None:
    own = key == Measure.of_score(row.protocol).key
    return row.score if own else row.values.get(key)


@click.command()
@click.argument("name")
@click.option("--home", type=click.Path(path_type=Path))
def main(name: str, home: Path | None) -> None:
    history = Home.find(home).history(name)
    table = table_of(board_rows.rows(history))
    declared = [table[0][0].score_measure, *facts_of(history.plan.to_dict()).measures]
    merits = {
        measure.key: measure
        for measure in declared
        if measure.key.startswith("eval/")
        and measure.direction != "none"
        and measure.scale == "ratio"
    }
    found = {key: logs_of(table, measure) for key, measure in merits.items()}
    measured = {key.rpartition("/")[2]: logs for key, logs in found.items() if logs is not None}
    left_out = [key for key, logs in found.items() if logs is None]
    click.echo(f"{name}: {len(table)} entries x {len(table[0])} seeds")
    if left_out:
        click.echo(f"left out, not positive in every training: {', '.join(left_out)}")
    for key, logs in measured.items():
        f, low, high = discrimination(logs)
        between, within = logs.mean(1).std(ddof=1), logs.var(axis=1, ddof=1).mean() ** 0.5
        click.echo(
            f"{key}: F {f:.1f} ({low:.1f} to {high:.1f}); standard "
            f"deviation between entries {between:.3f}, between seeds {within:.3f}"
        )
    for axis, value, rows in parts_of(table):
        each = ", ".join(f"{key} {discrimination(m[rows])[0]:.1f}" for key, m in measured.items())
        click.echo(f"F within {axis} {value}, {len(rows)} entries: {each}")
    click.echo("agreement: over all trainings, over the means of entries")
    keys = list(measured)
    for place, one in enumerate(keys):
        for other in keys[place + 1 :]:
            trainings, entries = agreement(measured[one], measured[other])
            click.echo(f"{one} with {other}: {trainings:.2f}, {entries:.2f}")
    click.echo("entries, by the score: geometric means, spread between seeds")
    for entry in np.argsort(next(iter(measured.values())).mean(1)):
        means = "  ".join(
            f"{key} {np.exp(logs[entry].mean()):.3g} ({logs[entry].std(ddof=1):.2f})"
            for key, logs in measured.items()
        )
        click.echo(f"{table[entry][0].label}: {means}")


if __name__ == "__main__":
    main()
