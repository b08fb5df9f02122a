"""How long each architecture takes for a training step and a pass without gradients, timed here.

Of each architecture the default configuration, the cheapest and dearest network and the largest
batch are timed on the training loop itself, on noise; seconds per image are fitted to them as
a Speed. On CPUs as many work at once as processes will: they take caches and memory from each other
(on two cores a step takes up to a tenth longer for it, a pass over 48 pictures up to a half). On
one thread it is CPU time that counts, so what else runs at that moment does not. A step larger than
STEP_FLOP is timed in part.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from threading import Barrier
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from backbones import counting
from bench.conditions import Condition
from bench.doors import is_outside
from bench.errors import BenchError
from bench.methods import build_method, load_method
from bench.sweep.cost import host
from bench.sweep.cost.kept import Kept
from bench.sweep.cost.price import COSTLESS, cost
from bench.sweep.cost.speed import Speed, fit
from bench.tasks import build_task
from bench.train.loop import Diverged, Training
from bench.train.objective import Batch

if TYPE_CHECKING:
    from bench.config import TrainConfig, TrialConfig

STEP_FLOP = {"cpu": 4e10, "cuda": 2e13}  # at most, in one timed step or pass
STEPS = 2  # timed, after one that is not
MOST_AT_ONCE = 8  # that are timed together, with no more threads than there are cores here
ABSENT_FLOP_PER_SEC = 2e13  # of a GPU that is not here to be timed: assumed, and said
ABSENT = (
    "there is no GPU here to be timed: seconds assume "
    f"{ABSENT_FLOP_PER_SEC / 1e12:.0f} TFLOP/s of training and sampling"
)


@dataclass(frozen=True, kw_only=True)
class Pace:
    """Seconds of one architecture, of one process."""

    train: Speed
    forward: Speed

    @classmethod
    def assumed(cls) -> Pace:
        speed = Speed(step=0.0, image=0.0, flop=1 / ABSENT_FLOP_PER_SEC)
        return cls(train=speed, forward=speed)


def paces(
    configs: Iterable[TrialConfig], places: int = 1, kept: Kept | None = None
) -> dict[str, Pace]:
    """The pace of each architecture among configurations that train, where so many processes work
    at once; the first of each is its default. What is `kept` is not timed again.

    Raises:
        NotKept: a timing is missing, and none is to be made.
    """
    by_name: dict[str, list[TrialConfig]] = {}
    for config in configs:
        if load_method(config.method.kind).trains:
            by_name.setdefault(config.method.backbone, []).append(config)
    kept = kept or Kept()
    return {name: _pace(own, places, kept) for name, own in by_name.items()}


def _pace(configs: Sequence[TrialConfig], places: int, kept: Kept) -> Pace:
    if absent(configs[0]):
        return Pace.assumed()
    train: dict[tuple[int, int], float] = {}
    forward: dict[tuple[int, int], float] = {}
    for config in _telling(configs):
        price = cost(config.task, config.method)
        share = config.train.batch_size // config.train.workers
        if (price.training_flops, share) in train:
            continue
        step, passes = _time(config, places, kept, passes=not _near(forward, price.forward_flops))
        train[price.training_flops, share] = step
        if passes is not None:
            forward[price.forward_flops, _drawn_at_once(config)] = passes
    return Pace(train=fit(train), forward=fit(forward))


def _telling(configs: Sequence[TrialConfig]) -> list[TrialConfig]:
    """Those that differ most in what a step costs; the first alone where steps take very long."""

    def flops(config: TrialConfig) -> int:
        return cost(config.task, config.method).training_flops

    first = configs[0]
    small = min(configs, key=lambda c: (flops(c), c.train.batch_size))
    if flops(first) > STEP_FLOP[first.train.device]:
        return [small]
    large = max(configs, key=lambda c: (flops(c), -c.train.batch_size))
    many = max(configs, key=lambda c: (c.train.batch_size, -flops(c)))
    return [small, large, first, many]


def _near(points: dict[tuple[int, int], float], flops: int) -> bool:
    """Whether two passes were timed, or one of as many FLOPs."""
    return len(points) == 2 or any(found == flops for found, _ in points)


def _drawn_at_once(config: TrialConfig) -> int:
    return min(config.sample.batch_size, config.measure.n_select)


class Blank:
    """Batches without anything in them: what is read from the data costs little beside a step."""

    def __init__(self, config: TrialConfig) -> None:
        self.inputs = config.task.inputs

    def batch(self, samples: Sequence[int], seed: int) -> Batch:
        inputs, n = self.inputs, len(samples)
        images, vector = (
            torch.zeros(n, channels, *shape) if channels else None
            for channels, shape in (
                (inputs.condition_channels, inputs.spatial),
                (inputs.vector_dim, ()),
            )
        )
        classes = torch.zeros(n, dtype=torch.int64) if inputs.n_classes else None
        return Batch(
            target=torch.zeros(n, inputs.out_channels, *inputs.spatial),
            condition=Condition(classes=classes, images=images, vector=vector),
        )


def _time(
    config: TrialConfig, places: int, kept: Kept, *, passes: bool
) -> tuple[float, float | None]:
    """Seconds per image of a step and, if asked, of a pass over as many as are drawn at once."""
    price, limit = cost(config.task, config.method), STEP_FLOP[config.train.device]
    share = config.train.batch_size // config.train.workers
    batch = max(1, min(share, int(limit / price.training_flops)))
    drawn = max(1, min(_drawn_at_once(config), int(limit / price.forward_flops)))
    what = {**_kind(config), "places": places, "batch": batch}
    if is_outside(config.method.backbone) or is_outside(config.method.kind):
        kept = Kept(make_missing=kept.make_missing)  # a user's own: see there

    @cache
    def trainings() -> list[Training]:
        return _trainings(config, batch, places)

    step = kept.once({"step of": what}, lambda: _step(trainings()))
    if not passes:
        return step, None

    def timed_passes() -> float:
        works = [partial(_pass, t, config, drawn) for t in trainings()]
        return _mean(config.train, works) / drawn

    return step, kept.once({"passes of": what, "drawn": drawn}, timed_passes)


def _kind(config: TrialConfig) -> dict[str, Any]:
    """What of a configuration a step's seconds depend on, beside its batch."""
    method, train = config.method, config.train
    args = {k: bool(v) if k in COSTLESS else v for k, v in method.backbone_args.items()}
    return {
        "kind": method.kind,
        "backbone": method.backbone,
        "args": args,
        "settings": method.settings,
        "inputs": dataclasses.asdict(config.task.inputs),
        "averages": len(train.ema_sigma_rel),
        **{k: getattr(train, k) for k in ("optimizer", "precision", "device", "threads")},
    }


@torch.no_grad()
def _pass(training: Training, config: TrialConfig, drawn: int) -> Tensor:
    """One pass of a training's network over so many cases."""
    method = config.method
    inputs = load_method(method.kind).network_inputs(config.task, method.settings)
    assert inputs is not None
    net = training.objective.net.eval()
    answer: Tensor = net(*counting.example(inputs, drawn, device=config.train.device))
    return answer


HARMLESS_LR = 1e-8  # a step costs the same whatever its size, and one too large would diverge


def _trainings(config: TrialConfig, batch: int, places: int) -> list[Training]:
    """One for each of the processes that will work at once; on a GPU one, and of networks so
    large that they are timed in part."""
    device = config.train.device
    large = cost(config.task, config.method).training_flops > STEP_FLOP[device]
    here = max(1, host.cores() // config.train.threads)
    together = 1 if device == "cuda" or large else min(places, here, MOST_AT_ONCE)
    return [_training(config, batch) for _ in range(together)]


def _training(config: TrialConfig, batch: int) -> Training:
    """The training of one process, a batch at a time and nothing else."""
    train = dataclasses.replace(
        config.train,
        budget_nimg=batch,
        rungs_nimg=(batch,),
        report_nimg=batch,
        batch_size=batch,
        micro_batch=batch,
        workers=1,
        schedule="constant",
        lr=HARMLESS_LR,
    )
    return Training(train, build_method(config), Blank(config), config.seed, "timing")


def _step(trainings: Sequence[Training]) -> float:
    """Seconds per image of a step. One that is not finite, by the user's settings, lacks the
    optimizer's part alone: whether trials diverge is for the trials to say."""
    batch = trainings[0].config.batch_size

    def work(training: Training) -> None:
        with suppress(Diverged):
            training.advance(training.nimg + batch)

    return _mean(trainings[0].config, [partial(work, t) for t in trainings]) / batch


def _mean(train: TrainConfig, works: Sequence[Callable[[], object]]) -> float:
    """Mean seconds of a call where these work at once: of STEPS each, after one that is not
    timed."""
    wait = torch.cuda.synchronize if train.device == "cuda" else _nothing
    one_thread = train.device != "cuda" and train.threads == 1
    clock = time.thread_time if one_thread else time.perf_counter
    ready = Barrier(len(works))

    def timed(work: Callable[[], object]) -> float:
        torch.set_num_threads(train.threads)
        try:
            work()
            wait()
        finally:
            ready.wait()  # the others do
        begin = clock()
        for _ in range(STEPS):
            work()
        wait()
        return (clock() - begin) / STEPS

    with ThreadPoolExecutor(len(works)) as pool:
        return float(np.mean(list(pool.map(timed, works))))


def _nothing() -> None:
    """A CPU has done its work when it says so."""


def sec_per_image(config: TrialConfig, places: int = 1) -> float:
    """Device-seconds of training on one image of a whole batch; threads x seconds on a CPU, where
    so many processes work at once.

    Raises:
        BenchError: the device of the trials is not here.
    """
    if absent(config):
        raise BenchError(
            "--equal gpu-seconds times the networks where the sweep is started, and there is no "
            "GPU here; start it on a node that has one (ray job submit), or use --equal flops"
        )
    seconds = _step(_trainings(config, config.train.batch_size, places))
    if config.train.device == "cuda":
        torch.cuda.empty_cache()  # the trials' processes need the memory
        return seconds
    return seconds * config.train.threads


def measuring_sec(config: TrialConfig) -> float:
    """Seconds that measuring takes for one prediction; on the CPU, whatever trains."""
    torch.set_num_threads(config.train.threads)
    return build_task(config).measuring_sec


def absent(config: TrialConfig) -> bool:
    """Whether the device of a trial is not here to be timed."""
    return config.train.device == "cuda" and not torch.cuda.is_available()
