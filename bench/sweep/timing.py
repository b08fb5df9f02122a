"""How long each architecture takes for a training step and a pass without gradients, timed here.

Of each architecture the default configuration, the cheapest and dearest network and the largest
batch are timed on the training loop itself, on noise; seconds per image are fitted to them as
a Speed. On one thread it is CPU time that counts, so what else runs at that moment does not.
A step larger than STEP_FLOP is timed in part.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from bench.errors import BenchError
from bench.metrics.extractors import extract, load_extractor
from bench.sweep.resolve import cost
from bench.sweep.speed import Speed, fit
from bench.train.loop import Training
from bench.train.objective import Batch, build

if TYPE_CHECKING:
    from bench.config import TrainConfig, TrialConfig

STEP_FLOP = {"cpu": 4e10, "cuda": 2e13}  # at most, in one timed step or pass
STEPS = 2  # timed, after one that is not
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
    def from_dict(cls, told: Mapping[str, Mapping[str, float]]) -> Pace:
        return cls(train=Speed(**told["train"]), forward=Speed(**told["forward"]))

    @classmethod
    def assumed(cls) -> Pace:
        speed = Speed(step=0.0, image=0.0, flop=1 / ABSENT_FLOP_PER_SEC)
        return cls(train=speed, forward=speed)


def paces(configs: Iterable[TrialConfig]) -> dict[str, Pace]:
    """The pace of each architecture among configurations; the first of each is its default."""
    by_name: dict[str, list[TrialConfig]] = {}
    for config in configs:
        by_name.setdefault(config.method.backbone, []).append(config)
    return {name: _pace(own) for name, own in by_name.items()}


def _pace(configs: Sequence[TrialConfig]) -> Pace:
    if absent(configs[0]):
        return Pace.assumed()
    train: dict[tuple[int, int], float] = {}
    forward: dict[tuple[int, int], float] = {}
    for config in _telling(configs):
        price = cost(config.task, config.method)
        share = config.train.batch_size // config.train.workers
        if (price.training_flops, share) in train:
            continue
        step, passes = _time(config, passes=not _near(forward, price.forward_flops))
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


class _Noise:
    """Batches without anything in them: what is read from the data costs little beside a step."""

    def __init__(self, config: TrialConfig) -> None:
        self.shape = (config.task.channels, *config.task.spatial)

    def batch(self, samples: Sequence[int], seed: int) -> Batch:
        return Batch(target=torch.zeros(len(samples), *self.shape))


def _time(config: TrialConfig, *, passes: bool) -> tuple[float, float | None]:
    """Seconds per image of a step and, if asked, of a pass over as many as are drawn at once."""
    price, limit = cost(config.task, config.method), STEP_FLOP[config.train.device]
    share = config.train.batch_size // config.train.workers
    training = _training(config, max(1, min(share, int(limit / price.training_flops))))
    step = _step(training)
    if not passes:
        return step, None
    drawn = max(1, min(_drawn_at_once(config), int(limit / price.forward_flops)))
    predictor = training.objective.predictor(training.objective.net, 0)
    x, sigma = _Noise(config).batch(range(drawn), 0).target, torch.ones(drawn)
    return step, _best(config.train, lambda: predictor.denoise(x, sigma)) / drawn


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
    )
    torch.set_num_threads(config.train.threads)
    return Training(train, build(config), _Noise(config), config.seed, "timing")


def _step(training: Training) -> float:
    """Seconds per image of a step."""
    batch = training.config.batch_size
    return _best(training.config, lambda: training.advance(training.nimg + batch)) / batch


def _best(train: TrainConfig, work: Callable[[], object]) -> float:
    """The least seconds of STEPS calls, after one that is not timed."""
    wait = torch.cuda.synchronize if train.device == "cuda" else _nothing
    one_thread = train.device != "cuda" and train.threads == 1
    clock = time.process_time if one_thread else time.perf_counter
    work()
    wait()
    found = []
    for _ in range(STEPS):
        begin = clock()
        work()
        wait()
        found.append(clock() - begin)
    return min(found)


def _nothing() -> None:
    """A CPU has done its work when it says so."""


def sec_per_image(config: TrialConfig) -> float:
    """Device-seconds of training on one image of a whole batch; threads x seconds on a CPU.

    Raises:
        BenchError: the device of the trials is not here.
    """
    if absent(config):
        raise BenchError(
            "--equal gpu-seconds times the networks where the sweep is started, and there is no "
            "GPU here; start it on a node that has one (ray job submit), or use --equal flops"
        )
    seconds = _step(_training(config, config.train.batch_size))
    if config.train.device == "cuda":
        torch.cuda.empty_cache()  # the trials' processes need the memory
        return seconds
    return seconds * config.train.threads


def sec_per_picture(config: TrialConfig) -> float:
    """Seconds the extractor takes for one picture; on the CPU, whatever trains."""
    judge = load_extractor(config.measure.extractor)
    shape = (_drawn_at_once(config), config.task.channels, *config.task.spatial)
    pictures = np.zeros(shape, np.uint8)
    extract(judge, pictures)
    begin = time.perf_counter()
    extract(judge, pictures)
    return (time.perf_counter() - begin) / len(pictures)


def absent(config: TrialConfig) -> bool:
    """Whether the device of a trial is not here to be timed."""
    return config.train.device == "cuda" and not torch.cuda.is_available()
