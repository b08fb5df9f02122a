"""Tune's Searcher, thin: every question goes to the engine, which appends and then answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ray.tune.search import Searcher

from bench.sweep.ray_adapter.guard import Guard
from bench.sweep.record.trial import Trial

JobOf = Callable[[Trial], Mapping[str, Any]]


class EngineSearcher(Searcher):
    """Hands Tune what the engine says to run next, as `job_of` puts it; learns nothing itself."""

    def __init__(self, guard: Guard, job_of: JobOf) -> None:
        super().__init__(metric=None, mode=None)
        self.guard, self.job_of = guard, job_of

    def suggest(self, trial_id: str) -> Any:
        if self.guard.over:
            return Searcher.FINISHED
        trial = self.guard.next()
        if trial is None:
            return Searcher.FINISHED if self.guard.over else None
        return dict(self.job_of(trial))

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Nothing: the scheduler adapter has told the engine already."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the journal is the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: the journal is the state."""

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return EngineSearcher, (Guard(), dict)
