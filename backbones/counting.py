"""What a network is made of: parameters, FLOPs of one case, block by block, without running it.

A case is one image or volume of the network's own `inputs`, with its class and numbers if it has
any. All is traced on torch's meta device: shapes only, no memory, no time to speak of. A
multiply-add counts as two FLOPs; elementwise work, norms and resampling count as none, as usual.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode

from backbones.backbone import Backbone
from backbones.inputs import Inputs

TOKENS_DIM = 3  # [N, tokens, channels], as transformers have them


@dataclass(frozen=True, kw_only=True)
class Block:
    """One block, in the order it runs.

    channels_in, channels_out: of an image, a volume or tokens; 0 where it is none of them.
    spatial: sides of its output in pixels; () where it is no image and no volume.
    """

    name: str
    kind: str
    channels_in: int
    channels_out: int
    spatial: tuple[int, ...]
    attention: bool
    parameters: int


def parameters(net: nn.Module) -> int:
    """The number of trained parameters."""
    return sum(p.numel() for p in net.parameters())


def example(
    inputs: Inputs, n: int, device: torch.device | str = "cpu"
) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
    """(x, c_noise, cond, vector) of n cases, as Backbone.forward takes them, the same every time.

    x: float32 [n, in_channels, *spatial], unit normal. c_noise: float32 [n], rising in [0, 1),
    which lies in or near every network's range. cond: int64 [n], the classes in turn, or None.
    vector: float32 [n, vector_dim], unit normal, or None. No global generator is touched; on the
    meta device nothing is drawn.
    """
    device = torch.device(device)
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        if device.type == "meta":
            return torch.empty(shape, device=device)
        return torch.randn(shape, generator=generator, device="cpu").to(device)

    counted = torch.arange(n, device=device)
    return (
        normal(n, inputs.in_channels, *inputs.spatial),
        counted / n,
        counted % inputs.n_classes if inputs.n_classes else None,
        normal(n, inputs.vector_dim) if inputs.vector_dim else None,
    )


def forward_flops(net: Backbone) -> int:
    """FLOPs of one forward pass for one case."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        _trace(net)
    return int(counter.get_total_flops())


def training_flops(net: Backbone) -> int:
    """FLOPs of forward and backward for one case: gradients of all weights, not of the image.

    What gradient checkpointing runs a second time is counted a second time.
    """
    with FlopCounterMode(display=False) as counter:
        _trace(net, then=_backward)
    return int(counter.get_total_flops())


def flops(net: Backbone) -> tuple[int, int]:
    """`forward_flops` and `training_flops` of a network whose pass is the same with gradients, in
    one pass."""
    forward = 0
    with FlopCounterMode(display=False) as counter:

        def then(answer: Tensor) -> None:
            nonlocal forward
            forward = int(counter.get_total_flops())
            _backward(answer)

        _trace(net, then)
    return forward, int(counter.get_total_flops())


def blocks(net: Backbone) -> list[Block]:
    """The blocks in the order they run; their parameters add up to the network's.

    A block is a module with an attribute `kind` (a word for what it does); in a network that has
    none, every child that is not a mere container.
    """
    rows: list[Block] = []
    image_dim = 2 + len(net.inputs.spatial)
    handles = []
    for name, module in _units(net):

        def note(
            module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor, name: str = name
        ) -> None:
            rows.append(
                Block(
                    name=name,
                    kind=str(getattr(module, "kind", type(module).__name__)),
                    channels_in=_channels(inputs[0], image_dim),
                    channels_out=_channels(output, image_dim),
                    spatial=tuple(output.shape[2:]) if output.dim() == image_dim else (),
                    attention=_has_attention(module),
                    parameters=parameters(module),
                )
            )

        handles.append(module.register_forward_hook(note))
    try:
        with torch.no_grad():
            _trace(net)
    finally:
        for handle in handles:
            handle.remove()
    return rows


def _channels(tensor: Tensor, image_dim: int) -> int:
    if tensor.dim() == image_dim:
        return tensor.shape[1]
    return tensor.shape[-1] if tensor.dim() == TOKENS_DIM else 0


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


class _Pass(nn.Module):
    """A network's pass and what follows it, so that stand-ins for its weights last for both."""

    def __init__(self, net: Backbone, then: Callable[[Tensor], None]) -> None:
        super().__init__()
        self.net, self.then = net, then

    def forward(self, *example: Tensor | None) -> None:
        self.then(self.net(*example))


def _backward(answer: Tensor) -> None:
    answer.sum().backward()


def _trace(net: Backbone, then: Callable[[Tensor], None] = lambda answer: None) -> None:
    """A pass for one case on the meta device, and what follows it."""
    state = {
        f"net.{name}": torch.empty_like(tensor, device="meta").requires_grad_(tensor.requires_grad)
        for name, tensor in [*net.named_parameters(), *net.named_buffers()]
    }
    dtype = next(net.parameters()).dtype
    x, c_noise, cond, vector = example(net.inputs, 1, "meta")
    functional_call(_Pass(net, then), state, (x.to(dtype), c_noise, cond, vector))
