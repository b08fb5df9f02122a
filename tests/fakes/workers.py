"""Several processes as one trial's workers, without Ray: gloo over loopback."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from bench.train.parallel import World

PATIENCE_SEC = 120.0


def run_workers(size: int, work: Callable[..., Any], *args: Any) -> list[Any]:
    """What `work(world, *args)` returns in each of `size` processes, by rank; an error as text.

    A process that ends without a word gives None. `work` is a function of a module.
    """
    context = multiprocessing.get_context("forkserver")  # a clean process, which has torch
    context.set_forkserver_preload(["bench.run", "bench.tasks.generate", "timm.optim"])
    with tempfile.TemporaryDirectory() as folder:
        store = str(Path(folder) / "store")
        pipes, processes = [], []
        for rank in range(size):
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(target=_run, args=(rank, size, store, theirs, work, args))
            process.start()
            theirs.close()
            pipes.append(ours)
            processes.append(process)
        answers = [_received(pipe) for pipe in pipes]
        for process in processes:
            process.join(PATIENCE_SEC)
            if process.is_alive():
                process.kill()
    return answers


def _received(pipe: Any) -> Any:
    if not pipe.poll(PATIENCE_SEC):
        return "TIMEOUT"
    try:
        return pipe.recv()
    except EOFError:
        return None


def _run(rank: int, size: int, store: str, pipe: Any, work: Any, args: tuple[Any, ...]) -> None:
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=size)
    try:
        pipe.send(work(World.joined(), *args))
    except Exception as error:
        traceback.print_exc()
        pipe.send(f"{type(error).__name__}: {error}")
    finally:
        pipe.close()
        dist.destroy_process_group()
