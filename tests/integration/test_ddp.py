"""A trial of two workers through real Ray Train: its reports, and its placement group's end."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from bench.config import TrialConfig
from bench.run import Report, steps
from bench.sweep.ray_adapter.driver import ray_up
from tests.fakes.trials import net_of, timeless, tiny, write_cache

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

DOOR = "bench.sweep.ray_adapter.workers:steps"
FREE_SEC = 10.0  # to be free again; a second or two where nothing else runs
CPUS = 2


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cache(tmp_path_factory.mktemp("fake") / "cache")


@pytest.fixture(scope="module", autouse=True)
def _ray(ray_home: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(ray_home))
        with ray_up(cpus=CPUS, gpus=0):
            yield


@pytest.fixture(autouse=True)
def _nothing_left(tmp_path: Path) -> Iterator[None]:
    """A failing test does not make the next ones wait for its CPUs."""
    yield
    from bench.sweep.ray_adapter import workers

    for folder in (tmp_path, *tmp_path.iterdir()):
        workers.release(folder)


def two(cache: Path, **changes: Any) -> TrialConfig:
    split = {"train.workers": 2, "train.micro_batch": 4, "method": net_of("small_unet")}
    return tiny(cache, **{**split, **changes})


def body(config: TrialConfig, folder: Path) -> dict[str, Any]:
    plain = json.loads(json.dumps(config.to_dict()))
    place = {"storage": None, "sweep": "fake-1", "trial": 0}
    return {**place, "steps": DOOR, "config": plain, "folder": str(folder)}


def actor(config: TrialConfig, folder: Path) -> Any:
    """The trial's process outside Tune, with what Tune would ask for."""
    import ray

    from bench.sweep.ray_adapter.trainable import TrialActor

    class Reported(TrialActor):
        def pid(self) -> int:
            return os.getpid()

    return ray.remote(num_cpus=0, memory=1)(Reported).remote(body(config, folder))


def heard(trial: Any) -> Report:
    import ray

    return Report(**json.loads(ray.get(trial.train.remote(), timeout=300)["report"]))


def free(folder: Path) -> float:
    """Seconds until the trial has no live group, all CPUs are free and no worker lives."""
    import ray

    from bench.sweep.ray_adapter import workers

    begin = time.monotonic()
    while time.monotonic() - begin < FREE_SEC:
        unused = ray.available_resources().get("CPU") == CPUS
        # Ray gives a process's CPUs back a moment before it is gone
        if unused and not workers.groups(folder) and not trainers():
            return time.monotonic() - begin
        time.sleep(0.05)
    raise AssertionError((workers.groups(folder), ray.available_resources(), trainers()))


def trainers() -> list[psutil.Process]:
    """The workers of trials on this machine that are children of our Ray."""
    named = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # it may end while it is looked at
            if process.status() != "zombie" and process.name().startswith("ray::RayTrain"):
                named.append(process)
    return named


def test_two_workers_say_what_one_does(cache: Path, tmp_path: Path) -> None:
    """The pictures of two workers are sampled in other batches, which round otherwise."""
    import ray

    config = two(cache)
    alone = dataclasses.replace(config, train=dataclasses.replace(config.train, workers=1))
    one = [timeless(r) for r in steps(alone, tmp_path / "one")]
    trial = actor(config, tmp_path / "two")
    said = [heard(trial)]
    while said[-1].phase != "end":
        said.append(heard(trial))
    free(tmp_path / "two")  # an end is said when nothing is held any more
    assert said[-1].outcome == "completed"
    for report, expected in zip(map(timeless, said), one, strict=True):
        assert report["nimg"] == expected["nimg"]
        assert set(report["metrics"]) == set(expected["metrics"])
        for key, value in expected["metrics"].items():
            exact = key.startswith("train/")
            assert report["metrics"][key] == pytest.approx(value, rel=0 if exact else 1e-3), key
    ray.get(trial.stop.remote())


def test_closed_between_reports_it_frees_all_and_goes_on(cache: Path, tmp_path: Path) -> None:
    import ray

    config = two(cache)
    first = actor(config, tmp_path)
    while (report := heard(first)).rung != 0:
        pass
    assert trainers()
    ray.get(first.stop.remote(), timeout=60)  # as Tune does: the generator is closed
    print(f"closed: free after {free(tmp_path):.2f} s")
    second = actor(config, tmp_path)
    assert timeless(heard(second)) == timeless(report)  # from the checkpoint of that rung
    ray.get(second.stop.remote(), timeout=60)
    free(tmp_path)


def test_a_killed_worker_loses_the_trial_not_its_outcome(cache: Path, tmp_path: Path) -> None:
    import ray

    trial = actor(two(cache), tmp_path)
    while heard(trial).rung != 0:
        pass
    trainers()[-1].kill()
    with pytest.raises(ray.exceptions.RayTaskError) as caught:
        list(iter(lambda: heard(trial), None))
    assert type(caught.value.cause).__name__ == "WorkerLost"
    free(tmp_path)
    ray.get(trial.stop.remote(), timeout=60)


def test_a_killed_trial_leaves_its_group_to_the_driver(cache: Path, tmp_path: Path) -> None:
    """Without the driver's release it mostly stays, which is why there is one (ray#54305)."""
    import ray

    from bench.sweep.ray_adapter import workers

    trial = actor(two(cache), tmp_path)
    heard(trial)
    os.kill(ray.get(trial.pid.remote()), signal.SIGKILL)
    time.sleep(3)
    left = len(workers.groups(tmp_path))
    released = workers.release(tmp_path)
    print(f"killed: {left} left after 3 s, {released} released; free after {free(tmp_path):.2f} s")


@pytest.mark.parametrize("end", ["pruned", "killed"])
def test_tune_ends_a_trial_and_its_group_goes(cache: Path, tmp_path: Path, end: str) -> None:
    from ray import tune
    from ray.tune import CheckpointConfig, RunConfig, TuneConfig
    from ray.tune.schedulers import FIFOScheduler, TrialScheduler

    from bench.sweep.ray_adapter import workers
    from bench.sweep.ray_adapter.trainable import TrialActor

    seen: dict[str, float] = {}
    folder = tmp_path / "trial"

    class Ending(FIFOScheduler):
        def on_trial_result(self, controller: Any, trial: Any, result: dict[str, Any]) -> str:
            if "at" in seen:
                return str(TrialScheduler.CONTINUE)
            seen["at"] = time.monotonic()
            assert workers.groups(folder)
            if end == "pruned":
                return str(TrialScheduler.STOP)
            os.kill(result["pid"], signal.SIGKILL)
            return str(TrialScheduler.CONTINUE)

    class Watched(workers.Release):
        def on_step_end(self, iteration: int, trials: Any, **info: Any) -> None:
            super().on_step_end(iteration, trials, **info)
            if "at" in seen and "free" not in seen and not workers.groups(folder):
                seen["free"] = time.monotonic()

    tune.Tuner(
        tune.with_resources(TrialActor, workers.trial_resources()),
        param_space=body(two(cache), folder),
        tune_config=TuneConfig(scheduler=Ending(), reuse_actors=True),
        run_config=RunConfig(
            name="tune",
            storage_path=str(tmp_path / "ray"),
            verbose=0,
            callbacks=[Watched()],
            checkpoint_config=CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
        ),
    ).fit()
    after = free(folder)
    print(f"{end}: no group after {seen.get('free', 0) - seen['at']:.2f} s, then {after:.2f} s")
