"""Where a trial comes from, read off the journal: defaults, protected trials of a cell, then TPE.

Contract 11: the authors' configurations come first, one for each cell (architecture x
preconditioning, or what else a workload's verdicts are about), then each from a second seed: so
the spread between a cell's seeds is measured, not borrowed. Both run to the rung that cells are
compared at, whatever they report, so that no cell is judged without an equal chance. Where a
default came to nothing, or there is nothing in it to train, another of its cell is drawn. Then the
search leads, within the values of the plan's even axes in turn: rivals of another kind (a network,
an estimator) are tuned with equally many trials.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.sweep.record.history import History
from bench.sweep.record.plan import Plan
from bench.sweep.record.trial import ABSENT

PROTECTED = 2  # trials of a cell that reach its rung whatever they report (contract 11)
TRIES = 4  # protected trials a cell may use up when its trials fail or diverge


@dataclass(frozen=True)
class Role:
    """What a trial is in its sweep."""

    origin: str
    fixed: Mapping[str, Any] = field(default_factory=dict)  # its parameters that are given
    protected: bool = False  # does not wait before the rung that cells are compared at


def role(plan: Plan, history: History, number: int) -> Role:
    """The role of trial `number`, about to be suggested. A pure function."""
    if plan.search == "random":
        return Role("random")
    if number < len(plan.cells):
        return Role("default", plan.defaults[number], plan.prune)
    counts = history.cell_counts()
    for place, cell in enumerate(plan.cells):
        sure, tried = counts.get(tuple(cell[axis] for axis in plan.cell_axes), (0, 0))
        if sure < PROTECTED and tried < TRIES:
            first = history.trials.get(place)
            if first and first.trained and (first.open or plan.cell_rung in first.rungs):
                return Role("default", plan.defaults[place], plan.prune)
            given = {axis: value for axis, value in cell.items() if value != ABSENT}
            return Role("cell", given, plan.prune)
    return Role("tpe", _least_tried(plan, history))


def _least_tried(plan: Plan, history: History) -> dict[str, str]:
    """The values of the even axes that the fewest trials have; new seeds of old ones do not
    count."""
    if not plan.even_axes:
        return {}
    cells = [{axis: cell[axis] for axis in plan.even_axes} for cell in plan.cells]
    least = min(cells, key=lambda values: history.searched(tuple(values.values())))
    return {axis: v for axis, v in least.items() if v != ABSENT}
