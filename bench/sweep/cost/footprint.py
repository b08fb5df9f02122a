"""How much memory a trial will need at its peak, before it is launched.

The network runs once on the meta device, where tensors have shapes and no memory: what autograd
keeps for the backward pass, and what is alive at once in a pass without gradients, are counted
exactly for one image and grow linearly with the batch; where gradient checkpointing runs blocks
again, so is what is alive at once in both passes. In bfloat16 the casts of autocast are made
there as it makes them, a GPU keeping its normalisations in float32. Parameters, gradients, moments
and averages are counted from the configuration. What a library needs beside (a process with its
imports, a kernel's workspace) is measured: `python -m tests.measure.memory` compares predictions
with real peaks, 1.04 to 1.19 of the truth over twelve configurations on a CPU in fresh processes;
one that ran trials before keeps more, which the base includes. No GPU has been measured yet.
"""

from __future__ import annotations

import dataclasses
import json
import math
import weakref
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from backbones import counting
from backbones.inputs import Inputs
from bench import networks
from bench.config import TrainConfig, TrialConfig, canonical
from bench.doors import is_outside
from bench.methods import load_method
from bench.sweep.cost.kept import COUNTED
from bench.sweep.cost.price import unbuilt
from bench.train.optim import make_optimizer

FULL, HALF = 4, 2  # bytes of a float32 and of a bfloat16
# A process with all imported, shared pages counted, and what its allocator keeps of the trials
# before (0.15: 1.17 GB in the first of 64 trials at laptop scale, 1.32 in the last); a context.
BASE_GB = {"cpu": 1.15, "cuda": 1.0}
# What kernels and the allocator hold beside a pass, as a share of what is live in it. Where blocks
# run again less is live and the kernels' buffers are as large as ever: there it is that many times
# what is live at once in a pass without gradients, by `bench study brats memory`.
WORKSPACE, WORKSPACE_RUNNING_AGAIN = 0.35, 2.5
RESERVE_GB = 1.5  # of a machine: for the driver, Ray's own processes and the tracking store
KEEP_COPIES = 1  # of everything, while a checkpoint is written
STEP_COPIES = 2  # of the weights, while an optimizer steps over all of them at once
# Functions that autocast runs in bfloat16 here, and those a GPU runs in float32.
IN_HALF = ("conv1d", "conv2d", "conv3d", "linear", "matmul", "bmm", "einsum")
IN_HALF_TOO = ("conv_transpose2d", "conv_transpose3d", "scaled_dot_product_attention")
IN_FULL = ("group_norm", "layer_norm", "softmax", "norm", "pow", "sum", "exp", "log")


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """Memory of one trial, in GB (1e9 bytes), on the device it trains on."""

    base_gb: float
    state_gb: float  # weights, gradients, moments, averages
    training_gb: float  # activations of one micro-batch
    checkpoint_gb: float = 0.0  # the copy that one is written from; its room is kept afterwards
    sampling_gb: float  # the judged copy, pictures and a pass over them

    @property
    def training_peak_gb(self) -> float:
        """Of training alone, without the process itself: what a larger network would add to."""
        return self.state_gb + self.training_gb

    @property
    def peak_gb(self) -> float:
        beside = max(self.training_gb, self.sampling_gb)
        return self.base_gb + self.state_gb + self.checkpoint_gb + beside


def predict(config: TrialConfig) -> Footprint:
    """The peak of one process of a trial."""
    train, method, sample = config.train, config.method, config.sample
    method_class = load_method(method.kind)
    inputs = method_class.network_inputs(config.task, method.settings)
    on_gpu, half = train.device == "cuda", train.precision == "bfloat16"
    base_gb = BASE_GB["cuda" if on_gpu else "cpu"]
    if inputs is None:  # an estimator works on one case at a time
        return Footprint(base_gb=base_gb, state_gb=0.0, training_gb=0.0, sampling_gb=0.0)
    args = dict(method.backbone_args)
    if args.get("dropout"):
        args["dropout"] = 0.5  # drawn from a range; a mask takes the same room at any rate
    net = _network(method.backbone, canonical(args), inputs, train.device if half else "")
    weights = net.parameters * FULL
    averages = len(train.ema_sigma_rel) + 1
    kept = weights * (1 + _moments(train.optimizer) + averages)
    copied = 0.0 if on_gpu else KEEP_COPIES * kept  # a GPU's checkpoint is copied to the host
    gradients = weights * (2 if train.workers > 1 else 1)  # and as they are sent
    training: float = train.micro_batch * (net.saved_bytes + net.workspace_bytes)
    training += net.parameters * HALF if half else 0  # the weights as they are multiplied
    parts = method_class.frozen_parts(config.task, method.settings)
    frozen = {"training": 0, "prediction": 0}  # bytes of a case, which are gone when it is done
    for part in parts:
        frozen[part.when] += _alive_bytes(part.net, part.shape)
    own = {id(p): p.numel() for part in parts for p in part.net.parameters()}
    drawn = -(-max(config.measure.n_select, config.measure.n_report) // train.workers)
    drawn = min(sample.batch_size, drawn)
    patches = config.task.answer_patches  # of a method on latents there is one
    states = drawn * method_class.state_bytes(inputs) * patches
    at_once = min(patches, math.prod(sample.tile) / inputs.pixels) if sample.tile else patches
    pass_bytes = max(net.forward_bytes * at_once, frozen["prediction"])  # one after the other
    sampling = weights + states + drawn * pass_bytes * (1 + WORKSPACE)
    training = max(training, train.micro_batch * frozen["training"] * (1 + WORKSPACE))
    return Footprint(
        base_gb=base_gb,
        state_gb=(kept + gradients + sum(own.values()) * FULL) / 1e9,
        training_gb=max(training, STEP_COPIES * weights) / 1e9,
        checkpoint_gb=copied / 1e9,
        sampling_gb=sampling / 1e9,
    )


def fit(config: TrialConfig, limit_gb: float) -> TrialConfig | None:
    """The same trial in micro-batches, then in sampling batches, that fit; where not even one
    answer at a time does, in overlapping tiles of it. None if nothing fits.

    The effective batch stays what it was. Samples are drawn by their number, so a smaller sampling
    batch draws the same pictures up to the last bits; tiles answer as the whole does away from
    their borders (bench.methods.tiling).
    """
    share = config.train.batch_size // config.train.workers
    sizes = [d for d in range(share, 0, -1) if share % d == 0 and d <= config.train.micro_batch]
    for smaller_sampling in _smaller_sampling(config):
        for size in sizes:
            train = dataclasses.replace(config.train, micro_batch=size)
            smaller = dataclasses.replace(smaller_sampling, train=train)
            footprint = predict(smaller)
            if footprint.peak_gb <= limit_gb:
                return smaller
            if footprint.sampling_gb >= footprint.training_gb:
                break  # smaller micro-batches would not help
    return None


def _smaller_sampling(config: TrialConfig) -> Iterator[TrialConfig]:
    """The trial itself, then drawing ever fewer at once, then one in ever smaller tiles."""
    drawn = config.sample.batch_size
    yield config
    while drawn > 1:
        drawn //= 2
        yield _sampled(config, batch_size=drawn)
    trains = load_method(config.method.kind).trains
    if trains and config.task.whole and not config.sample.tile:
        divisor = unbuilt(config.task, config.method).divisor
        for tile in smaller_tiles(config.task.whole, config.task.inputs.spatial, divisor):
            yield _sampled(config, batch_size=1, tile=tile)


def _sampled(config: TrialConfig, **changes: Any) -> TrialConfig:
    """The trial with both its samplings changed: the verdict's and, if it has one, its own."""
    own = config.own_sample and dataclasses.replace(config.own_sample, **changes)
    sample = dataclasses.replace(config.sample, **changes)
    return dataclasses.replace(config, sample=sample, own_sample=own)


def smaller_tiles(
    whole: tuple[int, ...], patch: tuple[int, ...], divisor: int
) -> Iterator[tuple[int, ...]]:
    """Sides of ever smaller tiles of a whole: the longest is halved each time, to a multiple of
    `divisor`, and never below the patch that the network was trained on."""
    tile = list(whole)
    while True:
        halves = [-(-side // (2 * divisor)) * divisor for side in tile]
        lengths = [
            (side, axis) for axis, side in enumerate(tile) if patch[axis] <= halves[axis] < side
        ]
        if not lengths:
            return
        _, axis = max(lengths)
        tile[axis] = halves[axis]
        yield tuple(tile)


@lru_cache(maxsize=64)
def _alive_bytes(net: torch.nn.Module, shape: tuple[int, ...]) -> int:
    """What is alive at once in a pass of one case without gradients, on the meta device."""
    with torch.no_grad(), _Alive() as alive:
        net(torch.empty(1, *shape, device="meta"))
    return int(alive.most)


@dataclass(frozen=True)
class _Network:
    parameters: int
    saved_bytes: int  # for the backward pass of one image and what runs again in it; no weights
    workspace_bytes: int  # of kernels in training, beside
    forward_bytes: int  # alive at once in a pass without gradients, one image


@lru_cache(maxsize=256)
def _network(name: str, args: str, inputs: Inputs, half_on: str) -> _Network:
    """What a network keeps; `half_on` is the device whose autocast it is trained under, if any."""
    if is_outside(name):
        return _counted(name, args, inputs, half_on)
    what = {
        "training memory of": name,
        "args": args,
        "inputs": dataclasses.asdict(inputs),
        "half on": half_on,
    }
    made = COUNTED.once(what, lambda: dataclasses.asdict(_counted(name, args, inputs, half_on)))
    return _Network(**made)


def _counted(name: str, args: str, inputs: Inputs, half_on: str) -> _Network:
    given: Mapping[str, Any] = json.loads(args)
    with torch.device("meta"):
        net = networks.build(name, inputs, **given)
        example = counting.example(inputs, 1, device="meta")
    net.train()
    saved = _saved_bytes(net, example, half_on)
    held = _bytes_running_again(net, example)
    if held:  # in float32; in bfloat16 both shrink alike
        saved = round(saved * held / _saved_bytes(net, example, ""))
    net.eval()
    with torch.no_grad(), _Alive() as alive:
        net(*example)
    workspace = WORKSPACE_RUNNING_AGAIN * alive.most if held else WORKSPACE * saved
    return _Network(
        parameters=sum(p.numel() for p in net.parameters()),
        saved_bytes=saved,
        workspace_bytes=round(workspace),
        forward_bytes=alive.most,
    )


def _saved_bytes(net: torch.nn.Module, example: Any, half_on: str) -> int:
    """What autograd keeps of a pass, weights apart."""
    weight_places = {_place(p) for p in net.parameters()}
    casts = _Autocast(half_on, weight_places) if half_on else nullcontext()
    saved: dict[int, Tensor] = {}  # by storage; the tensor keeps its storage from being reused

    def pack(tensor: Tensor) -> Tensor:
        if _place(tensor) not in weight_places:
            saved[_place(tensor)] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor), casts:
        net(*example)
    return sum(t.untyped_storage().nbytes() for t in saved.values())


def _bytes_running_again(net: torch.nn.Module, example: Any) -> int:
    """What is alive at once in a pass and its backward pass where that runs modules once more
    (gradient checkpointing), weights and their gradients apart; 0 where it runs none."""
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    hooks = [module.register_forward_pre_hook(count) for module in net.modules()]
    for p in net.parameters():
        p.grad = torch.zeros_like(p)  # a weight's new gradient is gone once it is added
    with _Alive() as alive:
        answer = net(*example)
        first = calls
        answer.sum().backward()
    for hook in hooks:
        hook.remove()
    for p in net.parameters():
        p.grad = None
    return alive.most if calls > first else 0


def _place(tensor: Tensor) -> int:
    """Which storage a tensor lies on; on the meta device no address tells."""
    return int(tensor.untyped_storage()._cdata)


class _Autocast(TorchFunctionMode):
    """Casts to bfloat16 and back as autocast does: torch's own leaves the meta device alone."""

    def __init__(self, device: str, weight_places: set[int]) -> None:
        super().__init__()
        self._in_full = IN_FULL if device == "cuda" else ()
        self._weight_places = weight_places  # with their casts: both are counted apart
        self._weights: dict[int, Tensor] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if name in IN_HALF or name in IN_HALF_TOO:
            args, kwargs = tree_map(self._to_half, (args, kwargs or {}))
        elif name in self._in_full:
            args, kwargs = tree_map(_to_full, (args, kwargs or {}))
        return func(*args, **(kwargs or {}))

    def _to_half(self, value: Any) -> Any:
        if not isinstance(value, Tensor) or value.dtype != torch.float32:
            return value
        if not value.is_leaf or not value.requires_grad:
            return value.bfloat16()
        if _place(value) not in self._weights:
            self._weights[_place(value)] = cast = value.bfloat16()
            self._weight_places.add(_place(cast))
        return self._weights[_place(value)]


def _to_full(value: Any) -> Any:
    low = isinstance(value, Tensor) and value.dtype == torch.bfloat16
    return value.float() if low else value


@lru_cache(maxsize=64)
def _moments(optimizer: str) -> float:
    """Numbers an optimizer keeps for each weight."""
    return float(COUNTED.once({"moments of": optimizer}, lambda: _seen_moments(optimizer)))


def _seen_moments(optimizer: str) -> float:
    """The same, seen on one small matrix; torch imports much for the first step."""
    weight = torch.nn.Parameter(torch.zeros(32, 32))
    weight.grad = torch.zeros(32, 32)
    one: dict[str, Any] = dict.fromkeys(("budget_nimg", "report_nimg", "batch_size"), 1)
    config = TrainConfig(**one, rungs_nimg=(1,), micro_batch=1, optimizer=optimizer, lr=1e-3)
    made = make_optimizer([weight], config)
    made.step()
    kept = [t for t in tree_leaves(list(made.state.values())) if isinstance(t, Tensor)]
    return sum(t.numel() for t in kept if t.numel() > 1) / weight.numel()


class _Alive(TorchDispatchMode):
    """Counts the bytes of results that are alive at once, whoever holds them."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's own
        self.now = self.most = 0
        self._places: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        given = {_place(t) for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)}
        for tensor in tree_leaves(result):
            # a view of a weight or of the input is no result of this pass
            if isinstance(tensor, Tensor) and _place(tensor) not in given | self._places:
                self._add(tensor.untyped_storage())
        return result

    def _add(self, storage: torch.UntypedStorage) -> None:
        place, size = int(storage._cdata), storage.nbytes()
        self._places.add(place)
        self.now += size
        self.most = max(self.most, self.now)
        weakref.finalize(storage, self._drop, place, size)

    def _drop(self, place: int, size: int) -> None:
        self._places.remove(place)
        self.now -= size


def share_gb(total_gb: float, together: int) -> float:
    """What one of several trials at once may use of a machine: all but RESERVE_GB, shared."""
    return max(0.0, total_gb - RESERVE_GB) / together
