"""The actor: one Tune Trainable that runs trial after trial, all state of one gone before the next.

A trial is `bench.run.steps`, a generator; each `step` of Tune is one report of it. Whatever a
trial holds (network, optimizer, averages, log) lives in that generator alone, so dropping it is
the reset; read-only data (the mapped cache, references) stays for the next.
"""

from __future__ import annotations

import dataclasses
import gc
import json
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ray import tune

from bench import doors
from bench.config import TrialConfig
from bench.run import Report

Steps = Callable[[TrialConfig, Path], Iterator[Report]]


class TrialActor(tune.Trainable):
    """Tune's handle on one running trial."""

    def setup(self, config: dict[str, Any]) -> None:
        self.steps: Iterator[Report] | None = None
        doors.at(config["steps"])
        gc.collect()
        gc.freeze()  # modules are no trial's state: a reset need not walk them (0.15 s each)
        self._open(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._drop()
        self._open(new_config)
        return True

    def step(self) -> dict[str, Any]:
        if self.steps is None:
            raise AssertionError("a step after the trial was dropped")
        report = next(self.steps)
        # As text: Tune flattens nested results and hands schedulers the flat ones.
        return {"report": json.dumps(dataclasses.asdict(report)), "done": report.phase == "end"}

    def cleanup(self) -> None:
        self._drop()

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: a trial's checkpoints are its own, in its folder."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Nothing: a trial goes on from its own folder."""

    def _open(self, config: dict[str, Any]) -> None:
        run: Steps = doors.at(config["steps"])
        trial = TrialConfig.from_dict(config["config"])
        self.steps = run(trial, Path(config["folder"]))
        self.where = {"host": socket.gethostname(), "pid": os.getpid()}

    def _drop(self) -> None:
        steps = self.steps
        self.steps = None
        if steps is not None and hasattr(steps, "close"):
            steps.close()
        del steps
        gc.collect()
