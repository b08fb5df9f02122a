"""What a network is made of: parameters, FLOPs per image, block by block, without running it.

Everything is traced on torch's meta device: shapes only, no memory, no time to speak of. A
multiply-add counts as two FLOPs; elementwise work, norms and resampling count as none, as usual.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode

from backbones.backbone import Backbone


@dataclass(frozen=True, kw_only=True)
class Block:
    """One block, in the order it runs. Channels and resolution are 0 where there is no image."""

    name: str
    kind: str
    channels_in: int
    channels_out: int
    resolution: int  # of its output, in pixels
    attention: bool
    parameters: int


def parameters(net: nn.Module) -> int:
    """The number of trained parameters."""
    return sum(p.numel() for p in net.parameters())


def forward_flops(net: Backbone, resolution: int, in_channels: int) -> int:
    """FLOPs of one forward pass for one image of that size."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        _trace(net, resolution, in_channels)
    return int(counter.get_total_flops())


def training_flops(net: Backbone, resolution: int, in_channels: int) -> int:
    """FLOPs of forward and backward for one image: gradients of all weights, not of the image."""
    with FlopCounterMode(display=False) as counter:
        _trace(net, resolution, in_channels).sum().backward()
    return int(counter.get_total_flops())


def blocks(net: Backbone) -> list[Block]:
    """The blocks in the order they run; their parameters add up to the network's.

    A block is a module with an attribute `kind` (a word for what it does); in a network that has
    none, every child that is not a mere container.
    """
    found: list[Block] = []
    handles = []
    for name, module in _units(net):

        def note(
            module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor, name: str = name
        ) -> None:
            image_in, image_out = inputs[0].dim() == 4, output.dim() == 4
            found.append(
                Block(
                    name=name,
                    kind=str(getattr(module, "kind", type(module).__name__)),
                    channels_in=inputs[0].shape[1] if image_in else 0,
                    channels_out=output.shape[1] if image_out else 0,
                    resolution=output.shape[-1] if image_out else 0,
                    attention=_has_attention(module),
                    parameters=parameters(module),
                )
            )

        handles.append(module.register_forward_hook(note))
    try:
        with torch.no_grad():
            _trace(net, net.resolution, net.in_channels)
    finally:
        for handle in handles:
            handle.remove()
    return found


def _has_attention(module: nn.Module) -> bool:
    return any("attention" in type(m).__name__.lower() for m in module.modules())


def _units(net: nn.Module) -> list[tuple[str, nn.Module]]:
    kinds = [(name, m) for name, m in net.named_modules() if isinstance(getattr(m, "kind", 0), str)]
    return kinds or list(_children(net, ""))


def _children(module: nn.Module, prefix: str) -> Iterator[tuple[str, nn.Module]]:
    for name, child in module.named_children():
        if isinstance(child, nn.ModuleList | nn.ModuleDict | nn.Sequential):
            yield from _children(child, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", child


def _trace(net: Backbone, resolution: int, in_channels: int) -> Tensor:
    state = {
        name: torch.empty_like(tensor, device="meta").requires_grad_(tensor.requires_grad)
        for name, tensor in [*net.named_parameters(), *net.named_buffers()]
    }
    dtype = next(net.parameters()).dtype
    x = torch.empty(1, in_channels, resolution, resolution, dtype=dtype, device="meta")
    c_noise = torch.empty(1, device="meta")
    return functional_call(net, state, (x, c_noise))
