"""What each stage of a stagewise search tried, and what it kept."""

from __future__ import annotations

from itertools import groupby

from bench.sweep.deciding.stagewise import ORIGIN, ROUND, best_of
from bench.sweep.record.history import History
from bench.sweep.record.trial import Trial


def stage_lines(history: History) -> list[str]:
    """A line a stage: the score on `select` of each value of its axis; none of other searches."""
    plan = history.plan
    trials = [t for t in history.trials.values() if t.suggestion.origin == ORIGIN]
    lines, ended = [], 0
    for name, group in groupby(trials, key=lambda trial: trial.suggestion.stage):
        stage, axis = list(group), name.partition(ROUND)[0]
        ended += len(stage)
        best = best_of(plan, trials[:ended])
        kept = "nothing completed" if best is None else f"{_value(best, axis)} is kept"
        kept = "not ended" if any(trial.open for trial in stage) else kept
        tried = ", ".join(f"{_value(t, axis)} {_score(t, plan.last_rung)}" for t in stage)
        lines.append(f"stage {name}: {tried}; {kept}")
    if lines:
        lines.insert(0, f"stages, by {plan.score.title} on select, {plan.score.better_text}:")
    return lines


def _value(trial: Trial, axis: str) -> str:
    value = trial.suggestion.params.get(axis, "another seed" if axis == "seed" else "-")
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _score(trial: Trial, rung: int) -> str:
    if rung in trial.rungs:
        return f"{trial.rungs[rung]:.3g}"
    return trial.outcome or "under way"
