"""How much memory a trial will need at its peak, before it is launched.

The network runs once on the meta device, where tensors have shapes and no memory: what autograd
keeps for the backward pass, and what is alive at once in a pass without gradients, are counted
exactly for one image and grow linearly with the batch. Parameters, gradients, moments and averages
are counted from the configuration. What a library needs beside (a process with its imports, a
kernel's workspace) is measured: `python -m tests.measure.memory` compares predictions with real
peaks: 0.99 to 1.12 of the truth over ten configurations on a CPU; on a GPU it is not yet measured.
"""

from __future__ import annotations

import dataclasses
import json
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import psutil
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import backbones
from bench.config import TrialConfig, canonical

FULL, HALF = 4, 2  # bytes of a float32 and of a bfloat16
MOMENTS = 2  # of Adam and its kin; a simpler optimizer needs less
BASE_GB = {"cpu": 1.0, "cuda": 1.0}  # a process with all imported, shared pages counted; a context
WORKSPACE = 0.35  # of what is live in a pass, kept by kernels and the allocator beside it
STATES = 6  # float64 pictures a Heun step holds at once
RESERVE_GB = 1.5  # of a machine: for the driver, Ray's own processes and the tracking store
ROOT = Path("/sys/fs/cgroup")
CGROUPS = (
    (ROOT / "memory.max", ROOT / "memory.current"),
    (ROOT / "memory/memory.limit_in_bytes", ROOT / "memory/memory.usage_in_bytes"),
)
KEEP_COPIES = 1  # of everything, while a checkpoint is written


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """Memory of one trial, in GB (1e9 bytes), on the device it trains on."""

    base_gb: float
    state_gb: float  # weights, gradients, moments, averages, the copy a checkpoint takes
    training_gb: float  # activations of one micro-batch
    sampling_gb: float  # the judged copy, pictures and a pass over them

    @property
    def peak_gb(self) -> float:
        return self.base_gb + self.state_gb + max(self.training_gb, self.sampling_gb)


def predict(config: TrialConfig) -> Footprint:
    """The peak of one process of a trial."""
    train, method, task = config.train, config.method, config.task
    net = _network(
        method.backbone,
        canonical(method.backbone_args),
        task.spatial,
        task.channels,
        task.n_classes,
    )
    averages = len(train.ema_sigma_rel) + 1
    kept = net.parameters * FULL * (1 + MOMENTS + averages)
    on_gpu = train.device == "cuda"
    copies = 0 if on_gpu else KEEP_COPIES  # a GPU's checkpoint is copied to the host
    state = kept * (1 + copies) + net.parameters * FULL  # and the gradients
    width = HALF / FULL if train.precision == "bfloat16" else 1.0
    pixels = task.channels * _product(task.spatial)
    pictures = config.sample.batch_size * pixels * 8 * STATES
    pass_bytes = config.sample.batch_size * net.forward_bytes * width
    sampling = net.parameters * FULL + pictures + pass_bytes * (1 + WORKSPACE)
    training = train.micro_batch * net.saved_bytes * width * (1 + WORKSPACE)
    return Footprint(
        base_gb=BASE_GB["cuda" if on_gpu else "cpu"],
        state_gb=state / 1e9,
        training_gb=training / 1e9,
        sampling_gb=sampling / 1e9,
    )


def fit(config: TrialConfig, limit_gb: float) -> TrialConfig | None:
    """The same trial in micro-batches, then in sampling batches, that fit; None if none do.

    The effective batch stays what it was. Samples are drawn by their number, so a smaller sampling
    batch draws the same pictures up to the last bits.
    """
    workers = getattr(config.train, "workers", 1)
    share = config.train.batch_size // workers
    sizes = [d for d in range(share, 0, -1) if share % d == 0 and d <= config.train.micro_batch]
    drawn = config.sample.batch_size
    while True:
        sample = dataclasses.replace(config.sample, batch_size=drawn)
        for size in sizes:
            train = dataclasses.replace(config.train, micro_batch=size)
            smaller = dataclasses.replace(config, train=train, sample=sample)
            found = predict(smaller)
            if found.peak_gb <= limit_gb:
                return smaller
            if found.sampling_gb >= found.training_gb:
                break  # smaller micro-batches would not help
        if drawn == 1:
            return None
        drawn //= 2


@dataclass(frozen=True)
class _Network:
    parameters: int
    saved_bytes: int  # for the backward pass of one image
    forward_bytes: int  # alive at once in a pass without gradients, one image


@lru_cache(maxsize=256)
def _network(
    name: str, args: str, spatial: tuple[int, ...], channels: int, n_classes: int
) -> _Network:
    given: Mapping[str, Any] = json.loads(args)
    with torch.device("meta"):
        net = backbones.build(
            name,
            resolution=spatial[-1],
            in_channels=channels,
            out_channels=channels,
            n_classes=n_classes,
            **given,
        )
        x, noise = torch.zeros(1, channels, *spatial), torch.zeros(1)
        cond = torch.zeros(1, dtype=torch.int64) if n_classes else None
    own = {_place(p) for p in net.parameters()}
    saved: dict[int, Tensor] = {}  # by storage; the tensor keeps its storage from being reused

    def pack(tensor: Tensor) -> Tensor:
        if _place(tensor) not in own:
            saved[_place(tensor)] = tensor
        return tensor

    net.train()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        net(x, noise, cond)
    net.eval()
    with torch.no_grad(), _Alive() as alive:
        net(x, noise, cond)
    return _Network(
        parameters=sum(p.numel() for p in net.parameters()),
        saved_bytes=sum(t.untyped_storage().nbytes() for t in saved.values()),
        forward_bytes=alive.most,
    )


def _place(tensor: Tensor) -> int:
    """Which storage a tensor lies on; on the meta device no address tells."""
    return int(tensor.untyped_storage()._cdata)


class _Alive(TorchDispatchMode):
    """Counts the bytes of results that are alive at once."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's own
        self.now = self.most = 0
        self._holders: dict[int, int] = {}  # storage -> tensors on it that are alive

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        given = {_place(t) for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)}
        for tensor in tree_leaves(result):
            # a view of a weight or of the input is no result of this pass
            if isinstance(tensor, Tensor) and (
                _place(tensor) in self._holders or _place(tensor) not in given
            ):
                self._add(tensor)
        return result

    def _add(self, tensor: Tensor) -> None:
        place, size = _place(tensor), tensor.untyped_storage().nbytes()
        if place not in self._holders:
            self._holders[place] = 0
            self.now += size
            self.most = max(self.most, self.now)
        self._holders[place] += 1
        weakref.finalize(tensor, self._drop, place, size)

    def _drop(self, place: int, size: int) -> None:
        self._holders[place] -= 1
        if not self._holders[place]:
            del self._holders[place]
            self.now -= size


def _product(sizes: tuple[int, ...]) -> int:
    total = 1
    for size in sizes:
        total *= size
    return total


def share_gb(total_gb: float, together: int) -> float:
    """What one of several trials at once may use of a machine: all but RESERVE_GB, shared."""
    return max(0.0, total_gb - RESERVE_GB) / together


def host_gb() -> float:
    """Memory that processes here may use: what is available now, within the container's limit."""
    free = float(psutil.virtual_memory().available) / 1e9
    for limit, used in CGROUPS:
        try:
            whole, taken = limit.read_text().strip(), used.read_text().strip()
        except OSError:
            continue
        if whole.isdigit():  # "max": none
            free = min(free, (int(whole) - int(taken)) / 1e9)
    return free
