"""Tune's Scheduler, thin: reports go to the engine's journal first, then its answer to Tune."""

from __future__ import annotations

import json
from typing import Any

from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from bench.run import Report
from bench.sweep.ray_adapter.guard import Guard


class EngineScheduler(FIFOScheduler):
    """First in, first out; stops what the engine says to stop."""

    def __init__(self, guard: Guard) -> None:
        super().__init__()
        self.guard = guard

    def on_trial_result(self, controller: Any, trial: Any, result: dict[str, Any]) -> str:
        report = Report(**json.loads(result["report"]))
        stop = self.guard(self.guard.engine.reported, trial.config["trial"], report)
        stop_now = stop or self.guard.error is not None
        return str(TrialScheduler.STOP if stop_now else TrialScheduler.CONTINUE)

    def on_trial_complete(self, controller: Any, trial: Any, result: dict[str, Any]) -> None:
        # Tune does not ask on_trial_result of a result that says done: the end comes here.
        number, engine = trial.config["trial"], self.guard.engine
        if "report" in result and engine.history.trials[number].outcome is None:
            self.guard(engine.reported, number, Report(**json.loads(result["report"])))

    def on_trial_error(self, controller: Any, trial: Any) -> None:
        cause = _last_line(trial.error_file) or "the process of the trial died"
        self.guard(self.guard.engine.lost, trial.config["trial"], cause)


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
