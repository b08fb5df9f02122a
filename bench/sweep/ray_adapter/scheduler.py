"""Tune's Scheduler, thin: reports go to the engine's journal first, then its answer to Tune."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from bench.errors import BenchError
from bench.run import Report
from bench.storage.place import Place
from bench.sweep.ray_adapter import deaths
from bench.sweep.ray_adapter.guard import Guard


class EngineScheduler(FIFOScheduler):
    """First in, first out; stops what the engine says to stop."""

    def __init__(self, guard: Guard, folder: Path, storage: str | None) -> None:
        super().__init__()
        self.guard, self.folder, self.storage = guard, folder, storage

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
        number = trial.config["trial"]
        logs = deaths.logs_of(self.guard.pids.get(number, 0))
        death = deaths.why(trial.get_pickled_error(), logs)
        with contextlib.suppress(OSError):  # a log is not worth a sweep
            deaths.keep_log(self.folder / f"{number:04d}", logs, death.cause)
        if death.kind == "storage":
            self.guard(self._need_storage, number, death.cause)
        if death.kind == "full":
            self.guard(self.guard.engine.stop_full, number, death.cause)
        elif death.kind in ("lost", "storage"):
            self.guard.lost(number, death.cause)
        else:
            self.guard(self.guard.engine.ended, number, death.kind, death.cause)

    def _need_storage(self, number: int, cause: str) -> None:
        """Raises BenchError when storage is away from here, too, and not from one node alone."""
        assert self.storage is not None
        try:
            Place(self.storage).impatient().check(self.folder)
        except BenchError as error:
            sweep = self.guard.engine.plan.sweep
            raise BenchError(
                f"{cause}; trial {number} and the rest wait for it: bench resume {sweep}"
            ) from error
