"""What every trial of a sweep has to spend alike: training FLOPs, images or device-seconds.

By FLOPs a wider network sees fewer images, by images it costs more, by seconds it depends on the
device: contract 4 makes the choice explicit. For device-seconds an image's cost is its
configuration's training FLOPs times the seconds a FLOP takes in its architecture, timed once when
the plan is made and kept in it, so that what a trial trains on stays a function of the journal.
"""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from bench.errors import BenchError, unknown

if TYPE_CHECKING:
    from bench.config import TrialConfig

UNITS = {"flops": "TFLOP", "nimg": "kimg", "gpu-seconds": "device-seconds"}
STEPS = 3  # timed, after one that is not


@dataclass(frozen=True, kw_only=True)
class Equal:
    """A trial's training budget; `amount` in UNITS of its kind."""

    kind: str = "flops"
    amount: float
    sec_per_flop: Mapping[str, float] = field(default_factory=dict)  # by architecture

    def __post_init__(self) -> None:
        if self.kind not in UNITS:
            raise unknown("--equal", self.kind, UNITS)
        if not 0 < self.amount < float("inf"):
            raise BenchError(f"--budget must be positive and finite, got {self.amount}")

    def images(self, architecture: str, training_flops: int) -> float:
        """How many images a network of this architecture and cost trains on."""
        if self.kind == "nimg":
            return self.amount * 1000
        if self.kind == "flops":
            return self.amount * 1e12 / training_flops
        return self.amount / (training_flops * self.sec_per_flop[architecture])

    @property
    def text(self) -> str:
        return f"{self.amount:.3g} {UNITS[self.kind]}"

    def record(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def of_plan(plan: Mapping[str, Any]) -> Equal | None:
    """A plan's own; None in journals from before there was a choice: by FLOPs, as their preset."""
    body = plan.get("equal")
    return Equal(**body) if body else None


def choose(
    kind: str, amount: float | None, defaults: Sequence[TrialConfig], flops: Sequence[int]
) -> Equal:
    """The budget asked for, or what the preset's FLOPs are in its unit for the median default.

    `defaults` are the cells' default configurations under the preset's FLOPs, `flops` what an
    image of each costs in training.
    """
    if kind == "nimg":
        usual = statistics.median(c.train.budget_nimg for c in defaults) / 1000
        return Equal(kind=kind, amount=usual if amount is None else amount)
    first = {
        c.method.backbone: (c, f) for c, f in reversed(list(zip(defaults, flops, strict=True)))
    }
    speed = {name: sec_per_image(config) / cost for name, (config, cost) in first.items()}
    seconds = [
        c.train.budget_nimg * f * speed[c.method.backbone]
        for c, f in zip(defaults, flops, strict=True)
    ]
    usual = statistics.median(seconds)
    return Equal(kind=kind, amount=usual if amount is None else amount, sec_per_flop=speed)


def sec_per_image(config: TrialConfig) -> float:
    """Device-seconds of training on one image, timed here and now: threads times seconds on a
    CPU."""
    from bench.train.objective import Batch, build

    torch.set_num_threads(config.train.threads)
    objective = build(config)
    shape = (config.task.channels, *config.task.spatial)
    target = torch.zeros(config.train.micro_batch, *shape)
    samples, on_gpu = range(config.train.micro_batch), config.train.device == "cuda"
    bf16 = config.train.precision == "bfloat16"

    def step() -> float:
        begin = time.perf_counter()
        with torch.autocast(config.train.device, torch.bfloat16, enabled=bf16):
            loss = objective.terms(Batch(target=target), samples, 0).loss.mean()
        torch.autograd.backward(loss)
        if on_gpu:
            torch.cuda.synchronize()
        return time.perf_counter() - begin

    step()
    best = min(step() for _ in range(STEPS))
    return best / len(samples) * (1 if on_gpu else config.train.threads)
