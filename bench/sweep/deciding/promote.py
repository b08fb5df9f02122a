"""Who goes on past a rung and who waits there: asynchronous successive halving, off the journal.

The promotion rule of ASHA (Li et al. 2020, arXiv 1810.05934): of all values seen at a rung, the
best `keep` share (rounded down) may go on. Whoever reports and is not among them waits, its
checkpoint kept, and is promoted when others turn out to be worse. Which of two values is better is
the score's to say.

What is ours: rungs lie at equal training FLOPs. Two protected trials of each cell never wait before
the rung that cells are compared at (contract 11), and new seeds of a chosen entry never wait at
all. Where the plan has even axes a trial is measured against its like alone. The last stretches,
which cost most, are for those that are the best of all: nobody enters them before the sweep is
closing, when all trials were suggested or the budget is just enough for FINALISTS of them. From
then on FINALISTS at least go on at every rung, less those that may still arrive there and be
better; until then that many places are not known to be theirs.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterator
from itertools import islice

from bench.sweep.cost import budget
from bench.sweep.record.history import SURE, History
from bench.sweep.record.plan import Plan
from bench.sweep.record.trial import Trial

FINALISTS = 4  # trials that reach the end, where there are so many
SLACK = 1.25  # what finalists are given of the time that they are expected to take
START_SEC = 1.0  # to take a trial up again from its checkpoint


def places(plan: Plan, rung: int, seen: int, on_their_way: int, closing: bool) -> int:
    """How many of the best of `seen` values at a rung may go on. on_their_way: trials that may yet
    report there."""
    share = math.floor(plan.keep[rung] * seen + 1e-9)
    if closing:
        return max(share, FINALISTS - on_their_way)
    return 0 if rung >= held_from(plan) else share


def held_from(plan: Plan) -> int:
    """The rung that nobody passes before the sweep is closing. Where the number of trials says when
    that is, two stretches are held back: who is promoted early is too often not among the best
    in the end. A budget of time is not known to reach further than the last one."""
    timed = plan.trials is None or plan.budget.limited
    return plan.last_rung - 1 if timed else min(plan.last_rung - 1, max(1, plan.last_rung - 2))


def goes_on(plan: Plan, history: History, trial: Trial, rung: int, closing: bool) -> bool:
    """Whether `trial`, just reported at `rung`, trains on without a pause. A pure function."""
    if not plan.prune or rung >= plan.last_rung or trial.suggestion.origin == SURE:
        return True
    if trial.protected and rung < plan.cell_rung:
        return True
    return _has_place(plan, history, trial, rung, closing)


def promoted(plan: Plan, history: History, closing: bool) -> tuple[Trial, int] | None:
    """The waiting trial that goes on next, and from which rung; None: no one does. A pure function.

    The highest rung first, so that the search learns soon; once the sweep is closing the lowest,
    so that whoever deserves it is among the finalists.
    """
    first = history.first_waiting()
    for at in sorted(first, reverse=not closing):
        rung, trial = at[0], first[at]
        if _has_place(plan, history, trial, rung, closing):
            return trial, rung
    return None


def _has_place(plan: Plan, history: History, trial: Trial, rung: int, closing: bool) -> bool:
    """Whether it is among the best at a rung that may go on."""
    seen = history.seen(rung, trial.group)
    ahead = bisect_left(seen, history.place(trial, rung))
    return ahead < places(plan, rung, len(seen), history.to_come(rung, trial.group), closing)


def is_closing(plan: Plan, history: History, now: Callable[[], float]) -> bool:
    """Whether no more trials are begun: all were suggested, or what is left of the sweep's budget
    is just enough to train FINALISTS to the end."""
    begun = len(history.trials)
    if plan.trials is not None and begun >= plan.trials:
        return True
    asked = any(c["number"] >= begun for c in plan.confirm)  # new seeds to be trained in any case
    if asked or not plan.prune or not budget.limited(history):
        return False
    missing = max(1, FINALISTS - history.counts().get("completed", 0))
    needs = [
        (_remaining_sec(plan, trial), trial.devices)
        for trial in islice(_contenders(plan, history), missing)
    ]
    if not needs:
        return False
    spent = budget.spent(history, now())
    wall_left = None if spent.wall_left is None else spent.wall_left - budget.CLOSING_SEC
    device_sec = sum(seconds * devices for seconds, devices in needs)
    wall_sec = max(max(s for s, _ in needs), sum(s for s, _ in needs) / plan.concurrency)
    short_of_wall = wall_left is not None and wall_left < SLACK * wall_sec
    return short_of_wall or (
        spent.device_left is not None and spent.device_left < SLACK * device_sec
    )


def _contenders(plan: Plan, history: History) -> Iterator[Trial]:
    """Trials that may still reach the end: the furthest first, of those the best."""
    for rung in reversed(range(plan.last_rung)):
        yield from history.contenders(rung)


def _remaining_sec(plan: Plan, trial: Trial) -> float:
    """Seconds until its end, from those it took to its furthest rung: starting, training by
    images, an evaluation a rung, and the last one, of more samples, as two."""
    rung = max(trial.rungs)
    took, nimg = trial.rung_seconds[rung], trial.rung_nimg[rung]
    training = took.get("train", 0.0)
    evaluating = (sum(took.values()) - training) / (rung + 1)
    images_left = trial.suggestion.train.rungs_nimg[-1] - nimg
    stretch = training * images_left / nimg if nimg else 0.0
    return START_SEC + stretch + evaluating * (plan.last_rung - rung + 2)
