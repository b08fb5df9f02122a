"""How far a board's verdicts can be trusted and what they find, on sweeps with a known truth.

    python -m tests.measure.verdicts [--sweeps 200] [--seed 3]

Each sweep has 40 entries in 12 cells whose true scores scatter by 10 % (log-normal), one training
each and one more of each cell's default; two thirds of the variance between seeds is shared by all
trainings of one seed. Three worlds: every cell has 3.4 % between seeds; a third of the cells 8 %
and the others, 4.5 times as bad, 49 %; or up to four times as much the worse an entry is. Then the
six best are confirmed on three new seeds.

    covered: the true best may be best. bound: every entry that may be best is no further behind
    than is said. Both are promised for 95 %.
    wrong winner: one is named and is not the best; promised for at most 5 %.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import click
import numpy as np
from numpy.typing import NDArray

from leaderboards.best import with_best
from leaderboards.entries import gather
from leaderboards.estimates import errors_of
from leaderboards.rank import significantly_better
from leaderboards.rows import Row
from leaderboards.spread import seed_spread
from tests.unit.leaderboards.synthetic import row

CELLS, ENTRIES, SPREAD, SAMPLING, SHARED = 12, 40, 0.10, 0.03, 2 / 3
SEEDS = 8  # that a sweep may use
CONFIRMED, CONFIRM_SEEDS = 6, 3
WORLDS = ("alike", "by cell", "worse is noisier")


@dataclass(kw_only=True)
class Sweep:
    """One sweep: true log scores [n], what a training scatters by, and its rows so far."""

    truth: NDArray[np.float64]
    cells: NDArray[np.int64]
    scatter: NDArray[np.float64]
    blocks: NDArray[np.float64]  # what each seed does to all, in scatters
    draw: np.random.Generator
    rows: list[Row] = field(default_factory=list)

    def train(self, entry: int, seed: int, origin: str = "tpe") -> None:
        own = self.draw.standard_normal()
        moved = np.sqrt(SHARED) * self.blocks[seed] + np.sqrt(1 - SHARED) * own
        error = self.scatter[entry] * moved + SAMPLING * self.draw.standard_normal()
        score = float(np.exp(4 + self.truth[entry] + error))
        self.rows.append(
            row(
                len(self.rows),
                score,
                entry_id=f"e{entry:03d}",
                seed=seed,
                score_se=score * SAMPLING,
                cell={"cell": str(self.cells[entry])},
                origin=origin,
            )
        )


def sweep(world: str, draw: np.random.Generator) -> Sweep:
    cells = np.concatenate([np.arange(CELLS), draw.integers(0, CELLS, ENTRIES - CELLS)])
    truth = SPREAD * draw.standard_normal(ENTRIES)
    scatter = np.full(ENTRIES, 0.034)
    if world == "by cell":
        poor = cells % 3 != 0
        truth, scatter = truth + 1.5 * poor, np.where(poor, 0.49, 0.08)
    elif world == "worse is noisier":
        truth = 3 * truth
        scatter = 0.034 * (1 + 3 * (truth - truth.min()) / np.ptp(truth))
    made = Sweep(
        truth=truth,
        cells=cells,
        scatter=scatter,
        blocks=draw.standard_normal(SEEDS),
        draw=draw,
    )
    for entry in range(ENTRIES):
        made.train(entry, 0)
    for entry in range(CELLS):
        made.train(entry, 1)
    return made


@dataclass(kw_only=True)
class Judged:
    """What a board says of a sweep, beside the truth."""

    covered: bool
    bound: bool
    size: int
    winner: bool
    wrong: bool
    by_holm: int  # entries that no other beats by Holm over all pairs
    leader_behind: float


def judge(made: Sweep) -> Judged:
    entries = gather(made.rows)
    errors = errors_of(entries, seed_spread(entries))
    told = with_best(errors)
    truth = np.array([made.truth[int(entry.entry_id[1:])] for entry in entries])
    behind = truth - truth.min()
    may = told.may_be_best
    alone = int(may.sum()) == 1
    return Judged(
        covered=bool(may[truth.argmin()]),
        bound=bool((behind[may] <= told.behind[may] + 1e-12).all()),
        size=int(may.sum()),
        winner=alone,
        wrong=alone and not may[truth.argmin()],
        by_holm=int((~significantly_better(errors).any(axis=0)).sum()),
        leader_behind=float(told.behind[errors.x.argmin()]),
    )


def judged(world: str, sweeps: int, seed: int) -> Iterator[tuple[Judged, Judged]]:
    """Of each sweep as it ended, and after the best were confirmed."""
    draw = np.random.default_rng(seed)
    for _ in range(sweeps):
        made = sweep(world, draw)
        at_end = judge(made)
        entries = gather(made.rows)
        best = sorted(entries, key=lambda entry: entry.score or 0.0)[:CONFIRMED]
        for entry in best:
            for new in range(2, 2 + CONFIRM_SEEDS):
                made.train(int(entry.entry_id[1:]), new, "confirm")
        yield at_end, judge(made)


@click.command()
@click.option("--sweeps", type=int, default=200, show_default=True)
@click.option("--seed", type=int, default=3, show_default=True)
def main(sweeps: int, seed: int) -> None:
    for world in WORLDS:
        at_end, confirmed = zip(*judged(world, sweeps, seed), strict=True)
        _say(f"{world}, at the end", at_end)
        _say(f"{world}, confirmed", confirmed)


def _say(name: str, results: Sequence[Judged]) -> None:
    def mean(key: str) -> float:
        return float(np.mean([getattr(result, key) for result in results]))

    leader = float(np.median([result.leader_behind for result in results]))
    click.echo(
        f"{name}: covered {mean('covered'):.1%}, bound {mean('bound'):.1%}; of {ENTRIES} "
        f"{mean('size'):.1f} may be best (by Holm {mean('by_holm'):.1f}); a winner named in "
        f"{mean('winner'):.1%}, wrong in {mean('wrong'):.1%}; the leader at most "
        f"{np.expm1(leader):.0%} behind (median)"
    )


if __name__ == "__main__":
    main()
