"""How far a board's verdicts can be trusted and what they find, on sweeps with a known truth.

    python -m tests.measure.verdicts [--sweeps 200] [--seed 3]

Each sweep has 40 entries in 12 cells whose true scores scatter by 10 % (log-normal), one training
each and one more of each cell's default; two thirds of the variance between seeds is shared by all
trainings of one seed. Three worlds: every cell has 3.4 % between seeds; a third of the cells 8 %
and the others, 4.5 times as bad, 49 %; or up to four times as much the worse an entry is. Each is
judged at its end, and then in three ways on the same new seeds:

    fixed, Holm: the six best on three new seeds; a winner is one that no pair of all, corrected by
        Holm, says is beaten.
    peeking: as a race, but each look at the whole 5 % and forgetting what it left out.
    race: as `bench confirm` does it, at most eight new seeds of an entry.

    covered: the true best may be best. bound: every entry that may be best is no further behind
    than is said. Both are promised for 95 %.
    wrong winner: one is named and is not the best; promised for at most 5 %.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import click
import numpy as np
from numpy.typing import NDArray

from leaderboards.best import ALPHA, with_best
from leaderboards.entries import CONFIRM_SEEDS, gather
from leaderboards.estimates import errors_of
from leaderboards.looks import level
from leaderboards.rank import significantly_better
from leaderboards.rows import Row
from leaderboards.spread import seed_spread
from tests.unit.leaderboards.synthetic import row

CELLS, ENTRIES, SPREAD, SAMPLING, SHARED = 12, 40, 0.10, 0.03, 2 / 3
NEW_SEEDS = 8  # of an entry, at most
FIRST_SEEDS = 2  # of the sweep itself
CONFIRMED = 6
WORLDS = ("alike", "by cell", "worse is noisier")


class Trained(Protocol):
    """A sweep of which more seeds can be had; truth: the entries' scores as logarithms, [n]."""

    truth: NDArray[np.float64]
    rows: list[Row]

    def train(self, entry: int, seed: int, origin: str = "tpe") -> None: ...


@dataclass(kw_only=True)
class Sweep:
    """One sweep: true log scores [n], the log score of each entry from each seed, and its rows."""

    truth: NDArray[np.float64]
    cells: NDArray[np.int64]
    seen: NDArray[np.float64]
    rows: list[Row] = field(default_factory=list)

    def train(self, entry: int, seed: int, origin: str = "tpe") -> None:
        score = float(np.exp(self.seen[entry, seed]))
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
    shape = (ENTRIES, FIRST_SEEDS + NEW_SEEDS)
    moved = np.sqrt(SHARED) * draw.standard_normal(shape[1])
    moved = moved + np.sqrt(1 - SHARED) * draw.standard_normal(shape)
    error = scatter[:, None] * moved + SAMPLING * draw.standard_normal(shape)
    made = Sweep(truth=truth, cells=cells, seen=4 + truth[:, None] + error)
    for entry in range(ENTRIES):
        made.train(entry, 0)
    for entry in range(CELLS):
        made.train(entry, 1)
    return made


@dataclass(kw_only=True)
class Judged:
    """What is said of a sweep, beside the truth; seeds: how many more were trained."""

    covered: bool
    bound: bool
    size: int
    winner: bool
    wrong: bool
    leader_behind: float
    seeds: int = 0


def by_holm(made: Trained) -> Judged:
    """All entries that no other beats by Holm over all pairs may be best; no bound is given."""
    entries = gather(made.rows)
    errors = errors_of(entries, seed_spread(entries))
    may = ~significantly_better(errors).any(axis=0)
    truth = np.array([made.truth[int(entry.entry_id[1:])] for entry in entries])
    alone = int(may.sum()) == 1 and entries[int(may.argmax())].confirmed
    right = bool(may[truth.argmin()])
    return Judged(
        covered=right, bound=True, size=int(may.sum()), winner=alone, wrong=alone and not right,
        leader_behind=np.nan,
    )  # fmt: skip


def fixed(made: Trained, first: int, seeds: int = CONFIRM_SEEDS) -> Judged:
    """The best few on new seeds, from seed number `first` on; then Holm."""
    best = sorted(gather(made.rows), key=lambda entry: entry.score or 0.0)[:CONFIRMED]
    for new in range(first, first + seeds):
        for entry in best:
            made.train(int(entry.entry_id[1:]), new, "confirm")
    told = by_holm(made)
    told.seeds = seeds * len(best)
    return told


def race(
    made: Trained,
    first: int,
    most: int,
    levels: Callable[[int], float] = level,
    remember: bool = True,
) -> Judged:
    """As `bench confirm`: look by look, at `levels`, until one is left that has its seeds."""
    earlier: NDArray[np.float64] | None = None
    had: Counter[str] = Counter()
    before = len(made.rows)
    for look in range(most + 1):
        entries = gather(made.rows)
        errors = errors_of(entries, seed_spread(entries))
        told = with_best(errors, levels(look), earlier)
        may = told.may_be_best
        if remember:
            earlier = np.where(may, told.behind, np.inf)
        alone = int(may.sum()) == 1 and entries[int(may.argmax())].confirmed
        if alone or look == most:
            break
        for place in np.flatnonzero(may):
            made.train(int(entries[place].entry_id[1:]), first + had[entries[place].entry_id],
                       "confirm")  # fmt: skip
            had[entries[place].entry_id] += 1
    truth = np.array([made.truth[int(entry.entry_id[1:])] for entry in entries])
    behind, right = truth - truth.min(), bool(may[truth.argmin()])
    return Judged(
        covered=right,
        bound=bool((behind[may] <= told.behind[may] + 1e-12).all()),
        size=int(may.sum()),
        winner=alone,
        wrong=alone and not right,
        leader_behind=float(told.behind[np.where(may, errors.x, np.inf).argmin()]),
        seeds=len(made.rows) - before,
    )


def ways(made: Trained, first: int, most: int) -> dict[str, Judged]:
    """A sweep as it ended, and in each way on its new seeds, from seed number `first` on."""
    start = list(made.rows)
    told = {"end": race(made, first, 0), "end, Holm": by_holm(made)}
    for name, way in {
        "fixed, Holm": lambda: fixed(made, first, min(CONFIRM_SEEDS, most)),
        "peeking": lambda: race(made, first, most, lambda look: ALPHA, remember=False),
        "race": lambda: race(made, first, most),
    }.items():
        made.rows[:] = start
        told[name] = way()
    return told


def judged(world: str, sweeps: int, seed: int) -> Iterator[dict[str, Judged]]:
    draw = np.random.default_rng(seed)
    for _ in range(sweeps):
        yield ways(sweep(world, draw), FIRST_SEEDS, NEW_SEEDS)


@click.command()
@click.option("--sweeps", type=int, default=200, show_default=True)
@click.option("--seed", type=int, default=3, show_default=True)
def main(sweeps: int, seed: int) -> None:
    for world in WORLDS:
        say(world, list(judged(world, sweeps, seed)), ENTRIES)


def say(name: str, results: Sequence[dict[str, Judged]], entries: int) -> None:
    """One line for each way."""
    for way in results[0]:
        these = [result[way] for result in results]
        share = {
            key: float(np.mean([getattr(one, key) for one in these]))
            for key in ("covered", "bound", "size", "winner", "wrong", "seeds")
        }
        leader = float(np.median([one.leader_behind for one in these]))
        bound = "" if np.isnan(leader) else (
            f"bound {share['bound']:.1%}; the leader at most {np.expm1(leader):.0%} behind "
            "(median); "
        )  # fmt: skip
        click.echo(
            f"{name}, {way}: covered {share['covered']:.1%}; {bound}of {entries} "
            f"{share['size']:.1f} may be best; a winner named in {share['winner']:.1%}, wrong in "
            f"{share['wrong']:.1%}; {share['seeds']:.0f} more trainings"
        )


if __name__ == "__main__":
    main()
