"""A trial over several workers: bench.run.steps in each, started by Ray Train inside the trial.

The trial's own process takes part in nothing; it hands reports on, one at a time. Rank 0 waits
after each until it is told to go on, so that a pruned trial stops there and then. Gradients go
through DistributedDataParallel: gloo on CPUs, nccl on GPUs. A lost worker is the trial's loss
(WorkerLost): the engine takes it up again from its last checkpoint; Ray Train tries nothing itself.

Resources. The workers hold them, in a placement group of Ray Train's: all or none, so trials that
wait for each other's share cannot lock each other up. The trial's own process asks for next to
nothing (`trial_resources`), and as many trials may run as the CPUs (GPUs) are a multiple of W.

The group outlives a trial whose process is killed (ray#54305): Ray frees it at the end of the job
alone, and Ray Train's own cleaner needs the dashboard. So it is freed here: by the trial, where it
ends or is closed, and by the driver (`Release`), where the trial can do so no more. A group is
known by its mark: so many bytes of memory asked for, all of it that Ray Train lets us set.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pickle
import shutil
import socket
import threading
import time
from collections.abc import Generator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
from ray.tune import Callback

if TYPE_CHECKING:  # torch stays out of the process that hands reports on
    from bench.config import TrialConfig
    from bench.run import Report
    from bench.train.parallel import World

Stored = tuple[str, str, int]  # storage, sweep, number of the trial

ENVIRONMENT = {  # of Ray Train, which reads it where the trial runs
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",  # how soon an end is seen
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": str(7 * 24 * 3600),  # waits for nodes that left
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
    "RAY_TRAIN_ENABLE_CONTROLLER_STRUCTURED_LOGGING": "0",
    "RAY_TRAIN_ENABLE_WORKER_STRUCTURED_LOGGING": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
}
CLEANER = "PlacementGroupCleanerCallback"
MARKS = 2**24  # 16 MB at most
CLOSE_SEC = 10.0  # for workers that were told to stop; then their group is taken away
COLLECTIVE_SEC = 3600.0  # gradients; what may take long has a group and a patience of its own
SWEEP_SEC, AGAIN_SEC = 20.0, 1.0


def steps(
    config: TrialConfig, folder: Path, stored: Stored | None = None
) -> Generator[Report, None, None]:
    """A trial's reports as bench.run.steps gives them, from config.train.workers processes.

    With `stored`, rank 0 works in a scratch folder of its node that is mirrored in storage, and
    every worker on its node's copy of the data.

    Raises:
        WorkerLost: a worker died, or the group could not be started.
    """
    from bench.run import Report

    release(folder)  # an earlier attempt's
    group = _Group(config, folder, stored)
    try:
        while True:
            report = Report(**json.loads(group.hear()))
            if report.phase == "end":
                group.close()  # first: whoever hears an end may count on the resources
                yield report
                return
            yield report
            group.go_on()
    finally:
        group.close()


def trial_resources() -> dict[str, float]:
    """What Tune is to ask for such a trial's own process: a byte, as it wants something."""
    return {"cpu": 0, "gpu": 0, "memory": 1}


def worker_resources(config: TrialConfig) -> dict[str, float]:
    """What each worker takes."""
    gpu = {"GPU": 1.0} if config.train.device.startswith("cuda") else {}
    return {"CPU": float(config.train.threads), **gpu}


def mark(folder: Path) -> int:
    """By what a trial's placement groups are known; another driver's are none of ours."""
    text = f"{ray.get_runtime_context().get_job_id()} {folder}"
    return 1 + int(_hash(text), 16) % (MARKS - 1)


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def groups(folder: Path) -> list[str]:
    """The placement groups that a trial has now."""
    wanted = mark(folder)
    return [
        key
        for key, group in ray.util.placement_group_table().items()
        if group["state"] != "REMOVED"
        and group["bundles"]
        and all(bundle.get("memory") == wanted for bundle in group["bundles"].values())
    ]


def release(folder: Path) -> int:
    """Take a trial's placement groups away, workers and all; how many there were."""
    from ray.util.placement_group import PlacementGroup

    keys = groups(folder)
    for key in keys:
        group = PlacementGroup(ray.PlacementGroupID(bytes.fromhex(key)))
        ray.util.remove_placement_group(group)
    return len(keys)


class Release(Callback):
    """In the driver: frees what a trial that is over still holds, however it ended.

    A killed trial's group may be made a moment after, so its folder is looked at for SWEEP_SEC.
    """

    def __init__(self) -> None:
        self._over: dict[str, tuple[float, float]] = {}  # folder -> look again at, until

    def on_trial_start(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        self._over.pop(trial.config["folder"], None)

    def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        self._free(trial)

    def on_trial_error(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        self._free(trial)

    def on_step_end(self, iteration: int, trials: Any, **info: Any) -> None:
        now = time.monotonic()
        for folder, (at, until) in list(self._over.items()):
            if now >= at:
                release(Path(folder))
                self._over[folder] = (now + AGAIN_SEC, until)
            if now >= until:
                del self._over[folder]

    def _free(self, trial: Any) -> None:
        folder, now = trial.config["folder"], time.monotonic()
        release(Path(folder))
        self._over[folder] = (now + AGAIN_SEC, now + SWEEP_SEC)


class Exchange:
    """Between rank 0 and the trial's process: a report one way, the word to go on the other."""

    def __init__(self) -> None:
        import asyncio

        self._said: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
        self._word: asyncio.Queue[bool] = asyncio.Queue()

    async def say(self, report: str) -> bool:
        """By rank 0: here is a report. Whether to go on, once that is known."""
        await self._said.put(("report", report))
        return await self._word.get()

    async def put(self, kind: str, what: Any) -> None:
        """By whoever sees that there will be no more: "error" (pickled) or "over" (a cause)."""
        await self._said.put((kind, what))

    async def hear(self) -> tuple[str, Any]:
        return await self._said.get()

    async def word(self, go_on: bool) -> None:
        await self._word.put(go_on)


class _Group:
    """The workers of one trial, run by a Ray Train trainer in a thread of the trial's process."""

    def __init__(self, config: TrialConfig, folder: Path, stored: Stored | None) -> None:
        from bench.sweep.ray_adapter.trainable import scratch

        os.environ.update(ENVIRONMENT)
        self.folder, self._closed = folder, False
        self._exchange = ray.remote(num_cpus=0)(Exchange).remote()
        job = {
            "config": config.to_dict(),
            "folder": str(folder),
            "stored": stored,
            "exchange": self._exchange,
        }
        self._scratch = scratch() / "workers" / _hash(str(folder))
        shutil.rmtree(self._scratch, ignore_errors=True)  # of an attempt or a driver killed here
        self._scratch.mkdir(parents=True)
        self._trainer = _trainer(config, job, mark(folder), str(self._scratch))
        self._thread = threading.Thread(target=self._run, name="ray-train", daemon=True)
        self._thread.start()

    def hear(self) -> str:
        """The next report.

        Raises:
            WorkerLost: the workers are over without having said their last word.
            Exception: an error of a worker's surroundings, as it was (storage, say).
        """
        from ray.exceptions import RayActorError

        from bench.train.parallel import WorkerLost

        try:
            kind, what = ray.get(self._exchange.hear.remote())
        except RayActorError as error:
            raise WorkerLost("what carries a trial's reports was lost") from error
        if kind == "error":
            raise pickle.loads(what)
        if kind == "over":
            raise WorkerLost(what)
        return str(what)

    def go_on(self) -> None:
        ray.get(self._exchange.word.remote(True))

    def close(self) -> None:
        """Workers stop, at once if they wait for a word; nothing of the group is left."""
        if self._closed:
            return
        self._closed = True
        from ray.exceptions import RayError

        with contextlib.suppress(RayError):
            ray.get(self._exchange.word.remote(False), timeout=CLOSE_SEC)
            self._thread.join(CLOSE_SEC)
        release(self.folder)
        self._thread.join(CLOSE_SEC)
        ray.kill(self._exchange)
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _run(self) -> None:
        try:
            self._trainer.fit()
            cause = "the workers of the trial ended without its last report"
        except Exception as error:
            cause = _cause(error)
        with contextlib.suppress(Exception):  # nobody listens any more
            ray.get(self._exchange.put.remote("over", cause))


def _trainer(config: TrialConfig, job: dict[str, Any], memory: int, scratch: str) -> Any:
    """Ray Train's trainer for one attempt. Its scratch folder stays empty: it is told nothing."""
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.backend import Backend
    from ray.train.torch import TorchConfig, TorchTrainer

    class OwnRendezvous(Backend):
        share_cuda_visible_devices = True

    class Config(TorchConfig):
        @property
        def backend_cls(self) -> type[Backend]:
            return OwnRendezvous

    class Trainer(TorchTrainer):
        def _create_default_callbacks(self) -> list[Any]:
            # Ray's cleaner would be one more process, and stay for ever without a dashboard
            made = super()._create_default_callbacks()
            return [c for c in made if type(c).__name__ != CLEANER]

    resources = worker_resources(config)
    return Trainer(
        _work,
        train_loop_config=job,
        torch_config=Config(),
        scaling_config=ScalingConfig(
            num_workers=config.train.workers,
            use_gpu="GPU" in resources,
            resources_per_worker={**resources, "memory": float(memory)},
        ),
        run_config=RunConfig(
            name="workers",
            storage_path=scratch,
            failure_config=FailureConfig(
                max_failures=0, controller_failure_limit=0, max_preemption_failures=0
            ),
        ),
    )


def _cause(error: Exception) -> str:
    """What ended the workers, in a line."""
    failures: dict[int, Any] = getattr(error, "worker_failures", {})
    dead = [rank for rank, e in failures.items() if isinstance(e, ray.exceptions.RayError)]
    if dead:
        which = ", ".join(str(rank) for rank in sorted(dead))
        return f"worker {which} of the trial died: killed, crashed, or its node left"
    lines = [line for line in str(error).splitlines() if line.strip()]
    return f"the workers of the trial were lost: {lines[-1] if lines else type(error).__name__}"


def _work(job: dict[str, Any]) -> None:
    """One worker, in a process of its own."""
    import dataclasses

    import torch.distributed as dist

    from bench.config import TrialConfig
    from bench.train.parallel import WorkerLost

    exchange = job["exchange"]
    config = TrialConfig.from_dict(job["config"])
    try:
        reports = _reports(config, job, _join(config.train.device))
        with contextlib.closing(reports):
            for report in reports:  # of rank 0; the others have none
                report_text = json.dumps(dataclasses.asdict(report))
                if not ray.get(exchange.say.remote(report_text)):
                    break
    except WorkerLost:
        raise
    except Exception as error:
        with contextlib.suppress(Exception):  # one that cannot travel
            ray.get(exchange.put.remote("error", pickle.dumps(error)))
        raise
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


def _reports(
    config: TrialConfig, job: dict[str, Any], world: World
) -> Generator[Report, None, None]:
    import dataclasses

    from bench import run
    from bench.sweep.ray_adapter.trainable import data_here, stored

    def here(config: TrialConfig, folder: Path) -> Iterator[Report]:
        return run.steps(config, folder, world)

    if job["stored"] is None:
        yield from here(config, Path(job["folder"]))
    elif world.rank == 0:
        yield from stored(here, config, *job["stored"])
    else:
        local_data = data_here(config.data, job["stored"][0])
        yield from here(dataclasses.replace(config, data=local_data), Path(job["folder"]))


def _join(device: str) -> World:
    """Torch's process group over the workers. It listens on the address that Ray's node has and no
    other: Ray Train's own would listen on all."""
    import torch.distributed as dist
    from ray.train import get_context
    from ray.train.collective import broadcast_from_rank_zero

    from bench.train.parallel import World

    context, patience = get_context(), timedelta(seconds=COLLECTIVE_SEC)
    rank, size = context.get_world_rank(), context.get_world_size()
    address = ray.util.get_node_ip_address()
    for name in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"):
        os.environ.setdefault(name, _interface(address))
    place: tuple[str, int] | None = None
    opened: dict[str, Any] = {}
    if rank == 0:
        listening = socket.create_server((address, 0))
        place = address, listening.getsockname()[1]
        opened = {"is_master": True, "master_listen_fd": listening.detach()}
    host, port = broadcast_from_rank_zero(place)
    open_store: Any = dist.TCPStore  # type: ignore[attr-defined]  # torch's stubs leave it out
    store = open_store(host, port, size, wait_for_workers=False, timeout=patience, **opened)
    backend = "cpu:gloo,cuda:nccl" if device.startswith("cuda") else "gloo"
    dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=patience)
    return World.joined()


def _interface(address: str) -> str:
    """The network interface that has this address; gloo would ask the host's name, which may
    stand for another."""
    import psutil

    for name, addresses in psutil.net_if_addrs().items():
        if any(a.address == address for a in addresses):
            return str(name)
    raise RuntimeError(f"no network interface has the address {address} of this Ray node")
