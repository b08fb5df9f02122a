"""Tune's Searcher, thin: every question goes to the engine, which appends and then answers."""

from __future__ import annotations

from typing import Any

from ray.tune.search import Searcher

from bench.sweep.ray_adapter.guard import Guard


class EngineSearcher(Searcher):
    """Hands Tune what the engine says to run next; learns nothing itself."""

    def __init__(self, guard: Guard, folder: str, steps: str) -> None:
        super().__init__(metric=None, mode=None)
        self.guard, self.folder, self.steps = guard, folder, steps

    def suggest(self, trial_id: str) -> Any:
        if self.guard.over:
            return Searcher.FINISHED
        trial = self.guard(self.guard.engine.next)
        if trial is None:
            return Searcher.FINISHED if self.guard.over else None
        return {
            "trial": trial.number,
            "steps": self.steps,
            "config": trial.suggestion["config"],
            "folder": f"{self.folder}/{trial.number:04d}",
        }

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Nothing: the scheduler adapter has told the engine already."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the journal is the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: the journal is the state."""
