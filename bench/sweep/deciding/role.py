"""Where a trial comes from, read off the journal: defaults, protected trials of a cell, then TPE.

Contract 11: the authors' configurations come first, one for each cell (architecture x
preconditioning, or what else a workload's verdicts are about), and two trials of every cell run to
their end whatever they report, so that a verdict on a cell never rests on trials that were stopped
early.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.sweep.record.history import ABSENT, History
from bench.sweep.record.plan import Plan

PROTECTED = 2  # trials of a cell that run to the end whatever they report (contract 11)
TRIES = 4  # protected trials a cell may use up when its trials fail or diverge


@dataclass(frozen=True)
class Role:
    """What a trial is in its sweep."""

    origin: str
    fixed: Mapping[str, Any] = field(default_factory=dict)  # its parameters that are given
    protected: bool = False  # never pruned


def role(plan: Plan, history: History, number: int) -> Role:
    """The role of trial `number`, about to be suggested. A pure function."""
    if plan.search == "random":
        return Role("random")
    if number < len(plan.cells):
        return Role("default", plan.defaults[number], plan.prune)
    for cell in plan.cells:
        sure, tried = history.cell_counts(cell)
        if sure < PROTECTED and tried < TRIES:
            given = {axis: value for axis, value in cell.items() if value != ABSENT}
            return Role("cell", given, plan.prune)
    return Role("tpe")
