"""The widest network that fits a budget of memory: what is varied where memory is held equal."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError
from bench.sweep.cost.footprint import predict

if TYPE_CHECKING:
    from bench.config import TrialConfig

WIDTH = "width"  # the argument of a network that its channels are multiples of
USUAL_STEP = 4  # channels
MOST_WIDTH = 4096  # channels; beyond, something else is wrong


def widest_within(
    limit_gb: float,
    arguments: dict[str, Any],
    with_network: Callable[[dict[str, Any]], TrialConfig],
) -> TrialConfig:
    """The trial whose network is as wide as `limit_gb` of predicted training memory allow, in the
    largest micro-batches in which the narrowest fits at all.

    Raises:
        BenchError: the network has no width to choose, or not even the narrowest fits.
    """
    if not isinstance(arguments.get(WIDTH), int):
        raise BenchError(
            "--equal memory chooses how wide each network is, and this one takes no width; leave "
            "it out with --set architecture=..., or hold something else equal"
        )
    step = width_step(arguments)

    def at(width: int, micro_batch: int) -> TrialConfig:
        config = with_network({**arguments, WIDTH: width})
        train = dataclasses.replace(config.train, micro_batch=micro_batch)
        return dataclasses.replace(config, train=train)

    most = with_network({**arguments, WIDTH: step}).train.micro_batch
    for micro_batch in (size for size in range(most, 0, -1) if most % size == 0):

        def fits(width: int, micro_batch: int = micro_batch) -> bool:
            return predict(at(width, micro_batch)).training_peak_gb <= limit_gb

        width = widest(fits, step)
        if width is not None:
            return at(width, micro_batch)
    raise BenchError(
        f"not even {step} channels and one case at a time fit {limit_gb:g} GB: they need "
        f"{predict(at(step, 1)).training_peak_gb:.2g}; give more --budget or smaller patches"
    )


def widest(fits: Callable[[int], bool], step: int) -> int | None:
    """The largest multiple of `step` for which `fits` is true, where all smaller ones fit too; None
    where `step` itself does not fit."""
    if not fits(step):
        return None
    low = 1
    while 2 * low * step <= MOST_WIDTH and fits(2 * low * step):
        low *= 2
    high = 2 * low
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle * step) else (low, middle)
    return low * step


def width_step(arguments: dict[str, Any]) -> int:
    """What a width must be a multiple of: the groups of the norms, where a network has some."""
    groups = arguments.get("groups")
    return groups if isinstance(groups, int) and groups > 1 else USUAL_STEP
