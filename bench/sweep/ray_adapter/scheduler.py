"""Tune's Scheduler, thin: reports go to the engine's journal first, then its answer to Tune."""

from __future__ import annotations

from typing import Any

from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from bench.run import Report
from bench.sweep.engine import Engine
from bench.sweep.ray_adapter.guard import Guard


class EngineScheduler(FIFOScheduler):
    """First in, first out; stops what the engine says to stop."""

    def __init__(self, engine: Engine, guard: Guard) -> None:
        super().__init__()
        self.engine, self.guard = engine, guard

    def on_trial_result(self, controller: Any, trial: Any, result: dict[str, Any]) -> str:
        report = Report(**result["report"])
        stop = self.guard(self.engine.reported, trial.config["trial"], report)
        stop_now = stop or self.guard.failed
        return str(TrialScheduler.STOP if stop_now else TrialScheduler.CONTINUE)

    def on_trial_complete(self, controller: Any, trial: Any, result: dict[str, Any]) -> None:
        # Tune does not ask on_trial_result of a result that says done: the end comes here.
        if "report" in result and self.engine.history.trials[trial.config["trial"]].outcome is None:
            self.guard(self.engine.reported, trial.config["trial"], Report(**result["report"]))

    def on_trial_error(self, controller: Any, trial: Any) -> None:
        cause = _last_line(trial.error_file) or "the process of the trial died"
        self.guard(self.engine.ended, trial.config["trial"], "failed", cause)


def _last_line(path: str | None) -> str:
    """What Tune wrote last about a dead trial."""
    if not path:
        return ""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = [line.strip() for line in file if line.strip()]
    except OSError:
        return ""
    return lines[-1][:300] if lines else ""
