"""What one case costs in a configuration's network: parameters and FLOPs, without running it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache

import torch

from backbones import counting
from backbones.backbone import Backbone
from backbones.inputs import Inputs
from bench import networks
from bench.config import MethodConfig, TaskConfig, canonical
from bench.methods import load_method

COSTLESS = ("dropout",)  # drawn from a range and changes no count: not measured anew each time


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one case costs in a configuration's network; zeros where there is none."""

    parameters: int
    forward_flops: int
    training_flops: int


def cost(task: TaskConfig, method: MethodConfig) -> Cost:
    """Parameters and FLOPs a case of a method's network on a task."""
    inputs = load_method(method.kind).inputs(task)
    if inputs is None:
        return Cost(parameters=0, forward_flops=0, training_flops=0)
    args = {k: v for k, v in method.backbone_args.items() if k not in COSTLESS}
    return _cost(method.backbone, canonical(args), inputs)


def unbuilt(task: TaskConfig, method: MethodConfig) -> Backbone:
    """The network of a method that trains, without its weights: to be looked at, not to be run."""
    inputs = load_method(method.kind).inputs(task)
    assert inputs is not None
    with torch.device("meta"):
        return networks.build(method.backbone, inputs, **method.backbone_args)


@lru_cache(maxsize=512)
def _cost(name: str, args: str, inputs: Inputs) -> Cost:
    with torch.device("meta"):
        net = networks.build(name, inputs, **json.loads(args))
    return Cost(
        parameters=counting.parameters(net),
        forward_flops=counting.forward_flops(net),
        training_flops=counting.training_flops(net),
    )
