"""Runs a sweep's engine on Ray Tune: a real cluster, reused actors, no snapshot of Tune's own."""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.sweep.engine import Engine

QUIET = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # what Ray says of dead processes is in the journal, in fewer words: nothing of it is printed
    "RAY_DEDUP_LOGS": "1",
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # a user's relative paths stay what they were
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_AUTO_INIT": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_WARN_THRESHOLD_S": "1e9",
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000000",
    "TUNE_RESULT_BUFFER_LENGTH": "0",
}
STEPS = "bench.run:steps"
OBJECT_STORE_BYTES = 100 * 2**20  # reports are small; trials map the cache themselves


@contextmanager
def ray_up(cpus: int, gpus: int) -> Iterator[float]:
    """An embedded Ray for as long as the block runs; yields the seconds it took to start."""
    os.environ.update(QUIET)
    import ray

    begin = time.monotonic()
    try:
        try:
            ray.init(
                address="local",  # never somebody else's cluster by way of RAY_ADDRESS
                num_cpus=cpus,
                num_gpus=gpus,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                object_store_memory=OBJECT_STORE_BYTES,
            )
        except SystemExit as left:  # Ray's own answer to SIGTERM while it starts
            raise KeyboardInterrupt from left
        except Exception as error:
            first = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise BenchError(f"Ray does not start: {first}") from error
        yield time.monotonic() - begin
    finally:
        ray.shutdown()


def run_on_tune(
    engine: Engine,
    folder: Path,
    *,
    cpus_per_trial: float = 1,
    gpus_per_trial: float = 0,
    steps: str = STEPS,
) -> None:
    """Run the engine's trials until it has no more; Ray must be up.

    Raises:
        BenchError: the journal cannot be written. Any other error of the engine as it was.
    """
    from ray import tune
    from ray.tune import CheckpointConfig, RunConfig, TuneConfig

    from bench.sweep.ray_adapter.guard import Guard
    from bench.sweep.ray_adapter.scheduler import EngineScheduler
    from bench.sweep.ray_adapter.searcher import EngineSearcher
    from bench.sweep.ray_adapter.trainable import TrialActor

    for name in ("ray.tune", "ray.train", "ray._private", "ray"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    # As many trials may wait for their process as may run, so that all start at once.
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(engine.plan["concurrency"])
    guard = Guard(engine)
    scratch = folder / "ray"
    resources = {"cpu": cpus_per_trial, "gpu": gpus_per_trial}
    tuner = tune.Tuner(
        tune.with_resources(TrialActor, resources),
        tune_config=TuneConfig(
            search_alg=EngineSearcher(guard, str(folder / "trials"), steps),
            scheduler=EngineScheduler(guard),
            num_samples=-1,
            reuse_actors=True,
            trial_dirname_creator=lambda trial: f"tune_{trial.trial_id}",
        ),
        run_config=RunConfig(
            name="tune",
            storage_path=str(scratch.resolve()),
            verbose=0,
            stop=_stopper(guard),
            callbacks=[_started(guard)],
            checkpoint_config=CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
        ),
    )
    try:
        tuner.fit()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    if guard.error is not None:
        raise guard.error


def _started(guard: Any) -> Any:
    """A Tune callback that says in the journal where a trial runs."""
    from ray.tune import Callback

    class Started(Callback):
        def on_trial_start(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
            number = trial.config["trial"]
            guard(guard.engine.started, number, trial.get_ray_actor_ip() or "", 0)

    return Started()


def _stopper(guard: Any) -> Any:
    """Ends Tune when the engine stops or fails."""
    from ray.tune import Stopper

    class EngineStopper(Stopper):
        def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
            return False

        def stop_all(self) -> bool:
            spent = guard(guard.engine.stop_when_spent)
            return bool(spent or guard.error is not None or guard.engine.interrupts.seen)

    return EngineStopper()
