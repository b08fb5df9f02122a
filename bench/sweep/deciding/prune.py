"""Whether a trial goes on past a rung: asynchronous successive halving, read off the journal.

The stopping rule of ASHA (Li et al. 2020, arXiv 1810.05934): at a rung, a trial goes on when its
value is among the best `keep` share of all values seen at that rung so far, its own included. What
is ours: rungs lie at equal training FLOPs, and protected trials (two a cell, contract 11) are
never stopped though their values count. Where the plan has even axes a trial is measured against
its like alone: a classical method has its last value at the first rung, a network not. Which of
two values is better is the score's to say.
"""

from __future__ import annotations

import math

from bench.sweep.record.history import History, Trial
from bench.sweep.record.plan import Plan


def stops(plan: Plan, history: History, trial: Trial, rung: int) -> bool:
    """Whether `trial`, just reported at `rung`, is to be stopped there. A pure function."""
    if not plan.prune or rung >= plan.last_rung or trial.protected:
        return False
    alike = [
        t
        for t in history.trials.values()
        if rung in t.rungs and all(t.cell[axis] == trial.cell[axis] for axis in plan.even_axes)
    ]
    rung_values = plan.score.in_order([t.rungs[rung] for t in alike], lambda value: value)
    places = max(1, math.ceil(plan.keep[rung] * len(rung_values)))
    return plan.score.better(rung_values[places - 1], trial.rungs[rung])
