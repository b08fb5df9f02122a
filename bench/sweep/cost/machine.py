"""Where trials run, and how many at once: this machine or a Ray cluster, as it is found.

One trial a GPU, or one a core with one thread; a trial of several workers takes as many. Memory
bounds it too: what one trial may use is its share of the host, or of its GPU.
"""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.sweep.cost import footprint, host, slots

GPU_SHARE = 0.95  # of a GPU's memory, that trials may use: the driver keeps some
TRIAL_GB = 1.6  # of a process that trains on the CPU, where nothing of the trial is known yet


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Where trials run: found, unless the user says otherwise."""

    device: str
    device_name: str
    precision: str
    cores: int
    gpus: int
    concurrency: int
    threads: int
    workers: int = 1  # processes a trial
    memory_gb: float | None = None  # what one trial may use; None: not known
    device_gb: float | None = None  # of one GPU
    pack: bool = False  # several trials on one GPU, by predicted memory

    @property
    def text(self) -> str:
        """In one line, for people."""
        together = "one trial" if self.concurrency == 1 else f"{self.concurrency} trials at once"
        if self.pack:
            together = "as many trials on a GPU as their predicted memory lets"
        if self.workers > 1:
            together += f" of {self.workers} workers"
        threads = "" if self.gpus else f", {self.threads} thread{'s' * (self.threads > 1)} each"
        return f"{self.device_name}, {self.cores} cores, {together}{threads}, {self.precision}"

    def other_than(self, planned: Mapping[str, Any]) -> bool:
        """Whether it is not the one that a plan's "device" describes."""
        here = {"device_name": self.device_name, "cores": self.cores, "gpus": self.gpus}
        return any(planned.get(key) != value for key, value in here.items())

    @property
    def notes(self) -> list[str]:
        """What a reader of throughput figures must know."""
        busy = self.concurrency * self.workers * self.threads
        if self.pack:
            return ["trials are packed: seconds and images/s are those of a shared GPU"]
        if not self.gpus and busy > self.cores:
            return [f"{busy} threads on {self.cores} cores: seconds and images/s suffer from it"]
        return []


def find_machine(concurrency: int | None, workers: int = 1, pack: bool = False) -> Machine:
    """The machine as it is: one trial a GPU, or one a core, one thread each; a trial of several
    workers takes as many."""
    import torch

    cores = host.cores()
    gpus = torch.cuda.device_count()
    units = gpus or cores
    if workers > units:
        what = "GPUs" if gpus else "cores"
        raise BenchError(f"--workers-per-trial {workers}: this machine has {units} {what}")
    if gpus and concurrency is not None and concurrency * workers > gpus and workers > 1:
        raise BenchError(
            f"--concurrency {concurrency} with --workers-per-trial {workers} needs "
            f"{concurrency * workers} GPUs, and there are {gpus}; the rest would wait"
        )
    together = concurrency or units // workers
    if not gpus and concurrency is None:
        together = min(together, _hosted(workers))
    if pack and not gpus:
        raise BenchError("--pack shares GPUs between trials, and there is none here; leave it out")
    if gpus and workers == 1 and not pack and together % gpus:
        raise BenchError(
            f"--concurrency {together} does not share {gpus} GPUs evenly; use a multiple of {gpus}"
        )
    if gpus:
        bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
        kind, name = "cuda", torch.cuda.get_device_name(0)
        precision = "bfloat16" if bf16 else "float32"
    else:
        kind, name, precision = "cpu", _cpu_name(), "float32"
    if pack and concurrency is None:
        together = gpus * slots.MOST
    machine = Machine(
        device=kind,
        device_name=name,
        precision=precision,
        cores=cores,
        gpus=gpus,
        concurrency=together,
        threads=max(1, cores // (together * workers)),
        workers=workers,
        pack=pack,
    )
    return _with_memory(machine)


def _hosted(workers: int) -> int:
    """How many trials of so many processes the memory of this machine holds at once."""
    return max(1, int((host.memory_gb() - footprint.RESERVE_GB) / (TRIAL_GB * workers)))


def cluster_machine(survey: Any, concurrency: int | None, workers: int, pack: bool) -> Machine:
    """A Ray cluster as trials would use it; `survey` is its Survey.

    Raises:
        BenchError: a trial asks for more than all of it.
    """
    units = survey.gpus or survey.cores
    if pack and survey.gpus:
        raise BenchError(
            "--pack needs to know the memory of a GPU, which a cluster does not tell; run it on a "
            "machine with GPUs, without --address"
        )
    what = "GPUs" if survey.gpus else "cores"
    if workers > units:
        raise BenchError(f"--workers-per-trial {workers}: the cluster has {units} {what}")
    if concurrency is not None and workers > 1 and concurrency * workers > units:
        raise BenchError(
            f"--concurrency {concurrency} with --workers-per-trial {workers} needs "
            f"{concurrency * workers} {what}, and the cluster has {units}; leave --concurrency out "
            "where nodes come and go"
        )
    if pack and not survey.gpus:
        raise BenchError(
            "--pack shares GPUs between trials, and the cluster has none; leave it out"
        )
    together = concurrency or units // workers
    # every process of a trial must fit on a node: beside a GPU, the share of its node's cores
    at_once = together * workers
    share = math.ceil(at_once / survey.gpus) if survey.gpus else 1  # on one GPU
    threads = max(1, min(survey.cores // at_once, survey.least_cores // share))
    return Machine(
        device="cuda" if survey.gpus else "cpu",
        device_name=survey.text,
        precision="bfloat16" if survey.bf16 else "float32",
        cores=survey.cores,
        gpus=survey.gpus,
        concurrency=together,
        threads=threads if survey.gpus or concurrency else 1,
        workers=workers,
        memory_gb=None if survey.gpus else survey.gb_per_core,
        pack=pack,
    )


def _with_memory(machine: Machine) -> Machine:
    """With what a trial may use: its share of the host, or of its GPU."""
    import torch

    if not machine.gpus:
        together = machine.concurrency * machine.workers
        return replace(machine, memory_gb=footprint.share_gb(host.memory_gb(), together))
    device_gb = torch.cuda.get_device_properties(0).total_memory / 1e9
    each = 1 if machine.pack else max(1, machine.concurrency // machine.gpus)
    return replace(machine, device_gb=device_gb, memory_gb=GPU_SHARE * device_gb / each)


def default_scale(machine: Machine) -> str:
    return "gpu" if machine.gpus else "laptop"


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
