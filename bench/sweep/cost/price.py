"""What one image costs in a configuration's network: parameters and FLOPs, without running it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache

import torch

import backbones
from backbones import counting
from bench.config import MethodConfig, TaskConfig, canonical
from bench.errors import BenchError

COSTLESS = ("dropout",)  # drawn from a range and changes no count: not measured anew each time


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one image costs in a configuration's network."""

    parameters: int
    forward_flops: int
    training_flops: int


def cost(task: TaskConfig, method: MethodConfig) -> Cost:
    """Parameters and FLOPs an image of a method's network on a task."""
    args = {k: v for k, v in method.backbone_args.items() if k not in COSTLESS}
    return _cost(
        method.backbone,
        canonical(args),
        task.spatial,
        task.channels,
        task.n_classes,
    )


@lru_cache(maxsize=512)
def _cost(name: str, args: str, spatial: tuple[int, ...], channels: int, n_classes: int) -> Cost:
    try:
        with torch.device("meta"):
            net = backbones.build(
                name,
                resolution=spatial[-1],
                in_channels=channels,
                out_channels=channels,
                n_classes=n_classes,
                **json.loads(args),
            )
    except ValueError as error:
        raise BenchError(str(error)) from error
    return Cost(
        parameters=counting.parameters(net),
        forward_flops=counting.forward_flops(net, spatial[-1], channels),
        training_flops=counting.training_flops(net, spatial[-1], channels),
    )
