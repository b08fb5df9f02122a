"""Whether a network can pass over what it is asked for, which may be larger than what it is trained
on: a whole volume, or tiles of one. Said before a trial begins, not at its first evaluation."""

from __future__ import annotations

from bench.config import MethodConfig, SampleConfig, TaskConfig
from bench.errors import BenchError
from bench.methods import load_method
from bench.sweep.cost.price import unbuilt


def require_sides(task: TaskConfig, method: MethodConfig, sample: SampleConfig) -> None:
    """BenchError where the sides of what is predicted, or of tiles, do not suit the network."""
    if not load_method(method.kind).trains or not (task.whole or sample.tile):
        return
    answered = task.answered.spatial
    if sample.tile and len(sample.tile) != len(answered):
        raise BenchError(
            f"tile {list(sample.tile)} needs {len(answered)} sides, as what is predicted has"
        )
    divisor = unbuilt(task, method).divisor
    if sample.tile:
        sides = tuple(min(pair) for pair in zip(sample.tile, answered, strict=True))
        what, remedy = "tiles", "give another --set tile=..."
    else:
        sides, what, remedy = answered, "whole volumes", "give another --size"
    if any(side % divisor for side in sides):
        raise BenchError(
            f"{what} of {list(sides)} voxels, as network {method.backbone} sees them: it halves "
            f"them until {divisor} are one, so every side must be a multiple of {divisor}; {remedy}"
        )
