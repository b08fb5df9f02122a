"""What every trial of a sweep has alike: training FLOPs, images, device-seconds or memory.

By FLOPs a wider network sees fewer images, by images it costs more, by seconds it depends on the
device: contract 4 makes the choice explicit. For device-seconds, a few steps of each architecture
are timed once, when the plan is made, at its widths and another batch size. The speeds fitted to
them are kept in the plan: how long a trial trains stays a function of the journal.

Memory is not spent: each network is made as wide as the peak of its training may be, and all train
for the preset's FLOPs. What competes is what else takes room: patch, batch, skips.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.config import TrialConfig, from_dict
from bench.errors import BenchError, unknown
from bench.sweep.cost.speed import Speed, fit
from bench.sweep.record.plan import Plan

MEMORY = "memory"
UNITS = {"flops": "TFLOP", "nimg": "kimg", "gpu-seconds": "device-seconds", MEMORY: "GB"}


@dataclass(frozen=True, kw_only=True)
class Equal:
    """A trial's training budget; `amount` in UNITS of its kind. tflop: what a trial trains for
    where it is memory that is held equal."""

    kind: str = "flops"
    amount: float
    speed: dict[str, Speed] = field(default_factory=dict)  # by architecture
    derived: str = ""  # from what the amount was made, where the user gave none
    tflop: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in UNITS:
            raise unknown("--equal", self.kind, UNITS)
        if not 0 < self.amount < float("inf"):
            raise BenchError(f"--budget must be positive and finite, got {self.amount}")

    def images(self, architecture: str, training_flops: int, batch: int) -> float:
        """How many images a network of this architecture and cost trains on."""
        if self.kind == "nimg":
            return round(self.amount * 1000, 6)  # 0.57 kimg are 570 images, not 569.99...
        if self.kind in ("flops", MEMORY):
            tflop = self.tflop if self.kind == MEMORY else self.amount
            return tflop * 1e12 / training_flops
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
                f"each trial {'has' if self.kind == MEMORY else 'trains for'} {self.text}: "
                f"{self.derived}; --budget sets it, and only "
                "sweeps of one budget are ranked together"
            )
        if self.kind == "gpu-seconds":
            lines.append(
                "device-seconds (GPU-seconds, or core-seconds where there is no GPU) are predicted "
                "from steps timed on the machine that made the plan, with nothing beside them"
            )
        if self.kind == MEMORY:
            lines.append(
                f"each network is as wide as {self.text} of peak training memory allow (predicted: "
                "weights, gradients, moments, averages and activations, without the process "
                f"itself; the named widths do not count), and trains for {self.tflop:.3g} TFLOP"
            )
        return lines

    def record(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def of_plan(plan: Plan) -> Equal:
    """What the trials of a plan have to spend.

    Raises:
        BenchError: the plan says nothing that can be.
    """
    return from_dict(Equal, plan.equal, "plan.equal")


def choose(
    kind: str,
    amount: float | None,
    defaults: Sequence[TrialConfig],
    variants: Sequence[TrialConfig],
    flops: Callable[[TrialConfig], int],
    seconds: Callable[[TrialConfig], float],
    memory: Callable[[TrialConfig], float],
    tflop: float,
) -> Equal:
    """The budget asked for, or what the preset's FLOPs are in its unit for the median default.

    `defaults` are the cells' default configurations under the preset's FLOPs; `variants` those to
    time beside them: other widths, another batch size. What an image costs in training: `flops`
    gives its FLOPs, `seconds` its device-seconds, timed here and now. `memory` gives the GB of a
    trial's training at its peak, `tflop` what it trains for where that is held equal.

    Raises:
        BenchError: the device of the trials is not here to be timed.
    """
    derived = "what the preset's FLOPs buy the median default configuration"
    if kind == "nimg":
        if amount is not None:
            return Equal(kind=kind, amount=amount)
        usual = statistics.median(c.train.budget_nimg for c in defaults) / 1000
        return Equal(kind=kind, amount=usual, derived=derived)
    if kind == MEMORY:
        usual = float(f"{statistics.median(map(memory, defaults)):.2g}")
        note = "" if amount is not None else "what the median default configuration needs"
        return Equal(kind=kind, amount=amount or usual, derived=note, tflop=tflop)
    speed = timed([*defaults, *variants], flops, seconds)
    if amount is not None:
        return Equal(kind=kind, amount=amount, speed=speed)
    usual = statistics.median(
        c.train.budget_nimg * speed[c.method.backbone].sec_per_image(flops(c), c.train.batch_size)
        for c in defaults
    )
    # one digit: a timing varies by more, and budgets that differ are not ranked together
    return Equal(kind=kind, amount=float(f"{usual:.1g}"), speed=speed, derived=derived)


def timed(
    configs: Iterable[TrialConfig],
    flops: Callable[[TrialConfig], int],
    seconds: Callable[[TrialConfig], float],
) -> dict[str, Speed]:
    """The speed of each architecture, of its configurations that differ in FLOPs or batch."""
    points: dict[str, dict[tuple[int, int], float]] = {}
    for config in configs:
        timings = points.setdefault(config.method.backbone, {})
        key = flops(config), config.train.batch_size
        if key not in timings:
            timings[key] = seconds(config)
    return {name: fit(timings) for name, timings in points.items()}
