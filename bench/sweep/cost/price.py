"""What one case costs in a configuration's network: parameters and FLOPs, without running it."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from backbones import counting
from backbones.backbone import Backbone
from backbones.inputs import Inputs
from bench import networks
from bench.config import MethodConfig, TaskConfig, canonical
from bench.doors import is_outside
from bench.methods import load_method
from bench.sweep.cost.kept import COUNTED

COSTLESS = ("dropout",)  # drawn from a range and changes no count: not measured anew each time


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one case costs in a configuration's network; zeros where there is none.

    training_flops: of the trained network and of what runs beside it for each image.
    prediction_flops: of what runs once a prediction beside the network's passes.
    """

    parameters: int
    forward_flops: int
    training_flops: int
    prediction_flops: int = 0


def cost(task: TaskConfig, method: MethodConfig) -> Cost:
    """Parameters and FLOPs a case of a method's network on a task."""
    method_class = load_method(method.kind)
    inputs = method_class.network_inputs(task, method.settings)
    if inputs is None:
        return Cost(parameters=0, forward_flops=0, training_flops=0)
    args = {k: v for k, v in method.backbone_args.items() if k not in COSTLESS}
    network = _cost(method.backbone, canonical(args), inputs)
    beside = {"training": 0, "prediction": 0}
    for part in method_class.frozen_parts(task, method.settings):
        beside[part.when] += _forward_flops(part.net, part.shape)
    return Cost(
        parameters=network.parameters,
        forward_flops=network.forward_flops,
        training_flops=network.training_flops + beside["training"],
        prediction_flops=beside["prediction"],
    )


@lru_cache(maxsize=64)
def _forward_flops(net: nn.Module, shape: tuple[int, ...]) -> int:
    """FLOPs of one case through a network on the meta device."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(torch.empty(1, *shape, device="meta"))
    return int(counter.get_total_flops())


def unbuilt(task: TaskConfig, method: MethodConfig) -> Backbone:
    """The network of a method that trains, without its weights: to be looked at, not to be run."""
    inputs = load_method(method.kind).inputs(task)
    assert inputs is not None
    with torch.device("meta"):
        return networks.build(method.backbone, inputs, **method.backbone_args)


@lru_cache(maxsize=512)
def _cost(name: str, args: str, inputs: Inputs) -> Cost:
    if is_outside(name):
        return _counted(name, args, inputs)
    what = {"cost of": name, "args": args, "inputs": dataclasses.asdict(inputs)}
    return Cost(**COUNTED.once(what, lambda: dataclasses.asdict(_counted(name, args, inputs))))


def _counted(name: str, args: str, inputs: Inputs) -> Cost:
    with torch.device("meta"):
        net = networks.build(name, inputs, **json.loads(args))
    forward, training = counting.flops(net)
    return Cost(parameters=counting.parameters(net), forward_flops=forward, training_flops=training)
