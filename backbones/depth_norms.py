"""How large activations and their gradients are, block by block, at the start or after some steps.

It shows where a network's signal explodes or vanishes with depth, for instance by the way that a
decoder takes its skips. A network whose last layer starts at zero passes no gradient back from it
until a step has been taken: at its very start every block's gradient is zero.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from backbones.backbone import Backbone


@dataclass(frozen=True, kw_only=True)
class DepthNorm:
    """Root mean square over all elements of a block's output, and of the loss's gradient by it."""

    name: str
    activation_rms: float
    gradient_rms: float


def depth_norms(
    net: Backbone,
    x: Tensor,
    c_noise: Tensor,
    target: Tensor,
    cond: Tensor | None = None,
    vector: Tensor | None = None,
    *,
    steps: int = 0,
    lr: float = 1e-3,
) -> list[DepthNorm]:
    """A row for each block in the order they run, for the mean squared error to `target`.

    A copy of the network takes `steps` steps of Adam on this batch first; `net` is left as it is.
    Blocks are the modules with an attribute `kind`, as in backbones.counting; an embedding is none
    here.

    x, c_noise, cond, vector: as Backbone.forward takes them. target: as it answers.
    """
    net = copy.deepcopy(net)
    optimizer = torch.optim.Adam(net.parameters(), lr=lr)
    for _ in range(steps):
        optimizer.zero_grad()
        F.mse_loss(net(x, c_noise, cond, vector), target).backward()
        optimizer.step()
    outputs: dict[str, Tensor] = {}
    for name, module in net.named_modules():
        if getattr(module, "kind", "embedding") != "embedding":

            def keep(module: nn.Module, given: object, output: Tensor, name: str = name) -> None:
                if name not in outputs:  # checkpointing runs a block again
                    output.retain_grad()
                    outputs[name] = output

            module.register_forward_hook(keep)
    F.mse_loss(net(x, c_noise, cond, vector), target).backward()
    return [
        DepthNorm(name=name, activation_rms=_rms(output), gradient_rms=_rms(output.grad))
        for name, output in outputs.items()
    ]


def _rms(values: Tensor | None) -> float:
    return 0.0 if values is None else float(values.detach().double().square().mean().sqrt())
