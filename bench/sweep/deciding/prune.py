"""Whether a trial goes on past a rung: asynchronous successive halving, read off the journal.

The stopping rule of ASHA (Li et al. 2020, arXiv 1810.05934): at a rung, a trial goes on when its
value is among the best `keep` share of all values seen at that rung so far, its own included. What
is ours: rungs lie at equal training FLOPs, and protected trials (two a cell, contract 11) are
never stopped though their values count.
"""

from __future__ import annotations

import math
from typing import Any

from bench.sweep.record.history import History, Trial


def stops(plan: dict[str, Any], history: History, trial: Trial, rung: int) -> bool:
    """Whether `trial`, just reported at `rung`, is to be stopped there. A pure function."""
    last = len(plan["rungs"]) - 1
    if not plan["prune"] or rung >= last or trial.protected:
        return False
    seen = sorted(t.rungs[rung] for t in history.trials.values() if rung in t.rungs)
    places = max(1, math.ceil(plan["keep"][rung] * len(seen)))
    return bool(trial.rungs[rung] > seen[places - 1])
