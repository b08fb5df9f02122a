"""The actor: one Tune Trainable that runs trial after trial, all state of one gone before the next.

A trial is `bench.run.steps`, a generator; each `step` of Tune is one report of it. Whatever a
trial holds (network, optimizer, averages, log) lives in that generator alone, so dropping it is
the reset; read-only data (the mapped cache, references) stays for the next.

With shared storage a trial works in a scratch folder of this node, which is mirrored there, and on
a copy of the data that the node has fetched once.
"""

from __future__ import annotations

import dataclasses
import gc
import getpass
import json
import os
import socket
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

from ray import tune

from bench import doors
from bench.config import DataConfig, TrialConfig
from bench.data.cache import INDEX
from bench.run import Report
from bench.storage import layout
from bench.storage.mirror import mirrored

Steps = Callable[[TrialConfig, Path], Iterator[Report]]
SpreadSteps = Callable[[TrialConfig, Path, tuple[str, str, int] | None], Iterator[Report]]
SCRATCH = "BENCH_SCRATCH"  # a node's own fast disk; without it, its temporary folder


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

    def where(self) -> tuple[str, int]:
        """Host and process this trial runs on."""
        return socket.gethostname(), os.getpid()

    def cleanup(self) -> None:
        self._drop()

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: a trial's checkpoints are its own, in its folder."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Nothing: a trial goes on from its own folder."""

    def _open(self, config: dict[str, Any]) -> None:
        run: Steps = doors.at(config["steps"])
        trial = TrialConfig.from_dict(config["config"])
        if trial.train.workers > 1:  # mirrored where rank 0 is
            place = (config["storage"], config["sweep"], config["trial"])
            spread: SpreadSteps = doors.at(config["steps"])
            self.steps = spread(trial, Path(config["folder"]), place if place[0] else None)
        elif config.get("storage"):
            self.steps = stored(run, trial, config["storage"], config["sweep"], config["trial"])
        else:
            self.steps = run(trial, Path(config["folder"]))

    def _drop(self) -> None:
        steps = self.steps
        self.steps = None
        if isinstance(steps, Generator):
            steps.close()
        del steps
        gc.collect()


def stored(
    run: Steps, trial: TrialConfig, storage: str, sweep: str, number: int
) -> Generator[Report, None, None]:
    """A trial on this node's scratch disk, on its copy of the data, mirrored in storage."""
    here = dataclasses.replace(trial, data=data_here(trial.data, storage))
    place = layout.trial_place(storage, sweep, number)
    folder = scratch() / "sweeps" / sweep
    yield from mirrored(lambda own: run(here, own), folder, f"{number:04d}", place)


def data_here(data: DataConfig, storage: str) -> DataConfig:
    """The data where this node has it: where the driver has it, or a copy fetched once."""
    if (Path(data.cache) / INDEX).exists() or not data.cache:
        return data
    cache = layout.fetch_cache(storage, Path(data.cache).name, scratch() / "cache")
    return dataclasses.replace(data, cache=str(cache))


def scratch() -> Path:
    """This user's folder on this node's own disk."""
    given = os.environ.get(SCRATCH)
    return Path(given) if given else Path(tempfile.gettempdir()) / f"bench-{getpass.getuser()}"
