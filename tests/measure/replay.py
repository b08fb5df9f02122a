"""How often a wrong winner would have been named in a real sweep, had other seeds come first.

    python -m tests.measure.replay SWEEP [--home FOLDER] [--times 200] [--seed 3]

Reads the board rows of a sweep of which at least nine entries were trained from four seeds or more
that they share (`bench confirm --each cell --seeds 3`). The order of the seeds is drawn again: the
first is taken for the sweep, the rest for new seeds, and the ways of tests.measure.verdicts judge
it. The truth is each entry's mean over all its seeds (of logarithms on the ratio scale), which is
not known any better: where two are nearly equal, a "wrong" winner need not be wrong.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from bench.sweep.record import board_rows
from bench.sweep.record.home import Home
from leaderboards.entries import distinct
from leaderboards.rows import Row
from tests.measure.verdicts import say, ways

LEAST_ENTRIES, LEAST_SEEDS = 9, 4


@dataclass(kw_only=True)
class Replayed:
    """Real rows as table[entry][seed], in an order of the seeds."""

    truth: NDArray[np.float64]
    table: list[list[Row]]
    rows: list[Row]

    def train(self, entry: int, seed: int, origin: str = "tpe") -> None:
        number = len(self.rows)
        self.rows.append(
            replace(
                self.table[entry][seed],
                trial=number,
                trial_id=f"t{number:04d}",
                entry_id=f"e{entry:03d}",
                origin=origin,
            )
        )


def table_of(rows: list[Row]) -> list[list[Row]]:
    """The rows of each entry by the place of their seed; the first is the earliest of the entry's
    own, the rest are confirming ones, whose k-th seed is common to all."""
    by_entry: dict[str, list[Row]] = {}
    for row in distinct(rows)[0]:
        if row.outcome == "completed" and row.trained:
            by_entry.setdefault(row.entry_id, []).append(row)
    whole = []
    for of in by_entry.values():
        first = [row for row in of if row.origin != "confirm"][:1]
        whole.append(first + [row for row in of if row.origin == "confirm"])
    whole = [of for of in whole if len(of) >= LEAST_SEEDS]
    if len(whole) < LEAST_ENTRIES:
        raise click.ClickException(
            f"{len(whole)} entries have {LEAST_SEEDS} seeds or more; a replay needs "
            f"{LEAST_ENTRIES}: bench confirm --each cell --seeds 3 trains them"
        )
    return [of[: min(map(len, whole))] for of in whole]


@click.command()
@click.argument("name")
@click.option("--home", type=click.Path(path_type=Path))
@click.option("--times", type=int, default=200, show_default=True)
@click.option("--seed", type=int, default=3, show_default=True)
def main(name: str, home: Path | None, times: int, seed: int) -> None:
    table = table_of(board_rows.rows(Home.find(home).history(name)))
    measure = table[0][0].score_measure
    scores = np.array([[row.score for row in of] for of in table], float)
    values = np.log(scores) if measure.scale == "ratio" else scores
    truth = measure.sign * values.mean(axis=1)
    draw, results = np.random.default_rng(seed), []
    count = scores.shape[1]
    for _ in range(times):
        order = draw.permutation(count)
        made = Replayed(truth=truth, table=[[of[k] for k in order] for of in table], rows=[])
        for entry in range(len(table)):
            made.train(entry, 0)
        results.append(ways(made, 1, count - 1))
    between = values.mean(axis=1).var(ddof=1)
    click.echo(
        f"{name}: {len(table)} entries x {count} seeds; standard deviation between entries "
        f"{between**0.5:.3g}, between seeds {values.var(axis=1, ddof=1).mean() ** 0.5:.3g}; "
        f"{times} orders of the seeds"
    )
    say(name, results, len(table))


if __name__ == "__main__":
    main()
