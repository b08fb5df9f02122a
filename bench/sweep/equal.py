"""What every trial of a sweep has to spend alike: training FLOPs, images or device-seconds.

By FLOPs a wider network sees fewer images, by images it costs more, by seconds it depends on the
device: contract 4 makes the choice explicit. For device-seconds, a few steps of each architecture
are timed once, when the plan is made, at its widths and another batch size. Seconds per image are
fitted to them as step / batch + image + flop x FLOPs (a FLOP of a narrow network takes up to twice
as long as one of a wide one) and the fit is kept in the plan: how long a trial trains stays a
function of the journal.
"""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from bench.errors import BenchError, unknown

if TYPE_CHECKING:
    from bench.config import TrialConfig

UNITS = {"flops": "TFLOP", "nimg": "kimg", "gpu-seconds": "device-seconds"}
STEPS = 3  # timed one by one, after one that is not


@dataclass(frozen=True, kw_only=True)
class Speed:
    """Device-seconds of training that an architecture takes: none of them negative."""

    step: float  # a step
    image: float  # an image
    flop: float  # a training FLOP

    def sec_per_image(self, training_flops: int, batch: int) -> float:
        return self.step / batch + self.image + self.flop * training_flops


@dataclass(frozen=True, kw_only=True)
class Equal:
    """A trial's training budget; `amount` in UNITS of its kind."""

    kind: str = "flops"
    amount: float
    speed: Mapping[str, Speed] = field(default_factory=dict)  # by architecture
    derived: str = ""  # from what the amount was made, where the user gave none

    def __post_init__(self) -> None:
        if self.kind not in UNITS:
            raise unknown("--equal", self.kind, UNITS)
        if not 0 < self.amount < float("inf"):
            raise BenchError(f"--budget must be positive and finite, got {self.amount}")

    def images(self, architecture: str, training_flops: int, batch: int) -> float:
        """How many images a network of this architecture and cost trains on."""
        if self.kind == "nimg":
            return round(self.amount * 1000, 6)  # 0.57 kimg are 570 images, not 569.99...
        if self.kind == "flops":
            return self.amount * 1e12 / training_flops
        if architecture not in self.speed:
            raise BenchError(
                f"{architecture} was not timed when this plan was made, so device-seconds say "
                "nothing of it; start a new sweep whose space has it"
            )
        return self.amount / self.speed[architecture].sec_per_image(training_flops, batch)

    @property
    def text(self) -> str:
        return f"{self.amount:.3g} {UNITS[self.kind]}"

    @property
    def notes(self) -> list[str]:
        """What a reader must know of it."""
        lines = []
        if self.derived:
            lines.append(
                f"each trial trains for {self.text}: {self.derived}; --budget sets it, and only "
                "sweeps of one budget are ranked together"
            )
        if self.kind == "gpu-seconds":
            lines.append(
                "device-seconds (GPU-seconds, or core-seconds where there is no GPU) are predicted "
                "from steps timed on the machine that made the plan, with nothing beside them"
            )
        return lines

    def record(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def of_plan(plan: Mapping[str, Any]) -> Equal | None:
    """A plan's own; None in journals from before there was a choice: by FLOPs, as their preset."""
    body = plan.get("equal")
    if not body:
        return None
    speed = {name: Speed(**own) for name, own in body["speed"].items()}
    return Equal(**{**body, "speed": speed})


def choose(
    kind: str,
    amount: float | None,
    defaults: Sequence[TrialConfig],
    variants: Sequence[TrialConfig],
    flops: Callable[[TrialConfig], int],
) -> Equal:
    """The budget asked for, or what the preset's FLOPs are in its unit for the median default.

    `defaults` are the cells' default configurations under the preset's FLOPs; `variants` those to
    time beside them: other widths, another batch size. `flops` gives what an image costs in
    training.

    Raises:
        BenchError: the device of the trials is not here to be timed.
    """
    derived = "what the preset's FLOPs buy the median default configuration"
    if kind == "nimg":
        if amount is not None:
            return Equal(kind=kind, amount=amount)
        usual = statistics.median(c.train.budget_nimg for c in defaults) / 1000
        return Equal(kind=kind, amount=usual, derived=derived)
    speed = timed([*defaults, *variants], flops)
    if amount is not None:
        return Equal(kind=kind, amount=amount, speed=speed)
    usual = statistics.median(
        c.train.budget_nimg * speed[c.method.backbone].sec_per_image(flops(c), c.train.batch_size)
        for c in defaults
    )
    # one digit: a timing varies by more, and budgets that differ are not ranked together
    return Equal(kind=kind, amount=float(f"{usual:.1g}"), speed=speed, derived=derived)


def timed(configs: Iterable[TrialConfig], flops: Callable[[TrialConfig], int]) -> dict[str, Speed]:
    """The speed of each architecture, of its configurations that differ in FLOPs or batch."""
    points: dict[str, dict[tuple[int, int], float]] = {}
    for config in configs:
        own = points.setdefault(config.method.backbone, {})
        key = flops(config), config.train.batch_size
        if key not in own:
            own[key] = sec_per_image(config)
    return {name: fit(own) for name, own in points.items()}


def fit(points: Mapping[tuple[int, int], float]) -> Speed:
    """Least relative squares over (FLOPs, batch) -> seconds per image, no coefficient negative."""
    from scipy.optimize import nnls

    flops, batch = np.array(list(points), float).T
    seconds = np.array(list(points.values()))
    columns = np.stack([1 / batch, np.ones_like(batch), flops], 1)
    # with one timing there is one thing to know: seconds a FLOP
    used = [2] if len(points) == 1 else [0, 2] if len(points) == 2 else [0, 1, 2]
    scale = columns.mean(0)
    found, _ = nnls((columns / scale)[:, used] / seconds[:, None], np.ones(len(points)))
    whole = np.zeros(3)
    whole[used] = found / scale[used]
    return Speed(step=float(whole[0]), image=float(whole[1]), flop=float(whole[2]))


class _Blank:
    """Batches without anything in them: what is read from the data costs little beside a step."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape

    def batch(self, samples: Sequence[int], seed: int) -> Any:
        from bench.train.objective import Batch

        return Batch(target=torch.zeros(len(samples), *self.shape))


def sec_per_image(config: TrialConfig) -> float:
    """Device-seconds of training on one image, timed here and now on the loop that trials run;
    threads times seconds on a CPU.

    Raises:
        BenchError: the device of the trials is not here.
    """
    from bench.train.loop import Training
    from bench.train.objective import build

    on_gpu = config.train.device == "cuda"
    if on_gpu and not torch.cuda.is_available():
        raise BenchError(
            "--equal gpu-seconds times the networks where the sweep is started, and there is no "
            "GPU here; start it on a node that has one (ray job submit), or use --equal flops"
        )
    torch.set_num_threads(config.train.threads)
    batch = config.train.batch_size
    blank = _Blank((config.task.channels, *config.task.spatial))
    training = Training(config.train, build(config), blank, config.seed, "timing")

    # on one thread it is CPU time that counts: what else runs at that moment does not
    alone = not on_gpu and config.train.threads == 1
    clock = time.process_time if alone else time.perf_counter

    def steps(count: int) -> float:
        begin = clock()
        training.advance(training.nimg + count * batch)
        if on_gpu:
            torch.cuda.synchronize()
        return clock() - begin

    steps(1)
    best = min(steps(1) for _ in range(STEPS))
    if on_gpu:  # the trials' processes need the memory
        del training
        torch.cuda.empty_cache()
    return best / batch * (1 if on_gpu else config.train.threads)
