"""Runs a sweep's engine on Ray Tune: embedded or on a cluster, reused actors, no Tune snapshots."""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.sweep.record.trial import Trial
from bench.sweep.running.engine import Engine

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
LOOPBACK = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"  # "0": Ray takes 127.0.0.1 for this machine
STEPS = "bench.run:steps"
OBJECT_STORE_BYTES = 100 * 2**20  # reports are small; trials map the cache themselves


ROOM_SEC, WHERE_SEC = 5.0, 10.0


def one_cpu(trial: Trial) -> dict[str, float]:
    return {"cpu": 1.0}


@contextmanager
def ray_up(cpus: int, gpus: int) -> Iterator[float]:
    """An embedded Ray for as long as the block runs; yields the seconds it took to start."""
    os.environ.update(QUIET)
    os.environ[LOOPBACK] = "0"  # nothing of it listens on another interface
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
    resources: Callable[[Trial], Mapping[str, float]] = one_cpu,
    steps: str = STEPS,
    storage: str | None = None,
    room: Callable[[], int] | None = None,
) -> None:
    """Run the engine's trials until it has no more; Ray must be up.

    resources: what a trial takes, {"cpu": 1, "gpu": 0.5}; few different ones, as processes are
    kept for trials of the same. storage: URL or path that trials are mirrored in. room: asked now
    and then how many trials may run at once, where nodes come and go.

    Raises:
        BenchError: the journal cannot be written, or the storage is away. Any other error of the
            engine as it was.
    """
    from ray import tune
    from ray.tune import CheckpointConfig, FailureConfig, RunConfig, TuneConfig

    from bench.sweep.ray_adapter.guard import Guard
    from bench.sweep.ray_adapter.scheduler import EngineScheduler
    from bench.sweep.ray_adapter.searcher import EngineSearcher
    from bench.sweep.ray_adapter.trainable import TrialActor

    for name in ("ray.tune", "ray.train", "ray._private", "ray"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    # As many trials may wait for their process as may run, so that all start at once.
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(10_000 if room else engine.concurrency)
    guard = Guard(engine)
    scratch = folder / "ray"

    def job_of(trial: Trial) -> dict[str, Any]:
        """A trial as its process hears it; its data lie where this driver has them."""
        config = trial.suggestion.config
        return {
            "trial": trial.number,
            "steps": steps,
            "config": {**config, "data": {**config["data"], "cache": engine.frame.data.cache}},
            "folder": str(folder / "trials" / f"{trial.number:04d}"),
            "sweep": engine.plan.sweep,
            "storage": storage,
            "resources": dict(resources(trial)),
        }

    tuner = tune.Tuner(
        tune.with_resources(TrialActor, lambda config: config["resources"]),
        tune_config=TuneConfig(
            search_alg=EngineSearcher(guard, job_of),
            scheduler=EngineScheduler(guard, folder / "trials", storage),
            num_samples=-1,
            reuse_actors=True,
            trial_dirname_creator=lambda trial: f"tune_{trial.trial_id}",
        ),
        run_config=RunConfig(
            name="tune",
            storage_path=str(scratch.resolve()),
            verbose=0,
            stop=_stopper(guard),
            callbacks=[_watch(guard, room), *_releases(engine)],
            checkpoint_config=CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
            failure_config=FailureConfig(max_failures=0, fail_fast=False),  # the engine retries
        ),
    )
    try:
        tuner.fit()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    if guard.error is not None:
        raise guard.error


def _watch(guard: Any, room: Callable[[], int] | None) -> Any:
    """A Tune callback that says in the journal where a trial runs, and looks for room for more."""
    import ray
    from ray.exceptions import GetTimeoutError, RayError
    from ray.tune import Callback

    class Watch(Callback):
        looked_at = -ROOM_SEC

        def on_step_begin(self, iteration: int, trials: Any, **info: Any) -> None:
            if room is not None and time.monotonic() - self.looked_at > ROOM_SEC:
                self.looked_at = time.monotonic()
                guard.engine.concurrency = max(1, room())  # one waits, should there be none now

        def on_trial_start(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
            number, actor = trial.config["trial"], trial.temporary_state.ray_actor
            try:
                host, pid = ray.get(actor.where.remote(), timeout=WHERE_SEC)
            except (GetTimeoutError, RayError):  # dead again: on_trial_error comes next
                host, pid = "", 0
            guard.pids[number] = pid
            guard(guard.engine.started, number, host, pid)

    return Watch()


def _releases(engine: Engine) -> list[Any]:
    """Of trials of several workers: what frees their placement groups when they cannot."""
    from bench.sweep.ray_adapter.workers import Release

    return [Release()] if engine.plan.workers > 1 else []


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
