"""A network's parameters and gradients in a few flat buffers, so that a step is a few calls.

Clipping, an elementwise optimizer and averages take the same time for each tensor, however small;
a network of 200 small ones spends a fifth of a step on calls. Here the parameters stay the
network's own, under their names and in their memory layout, as views of one buffer for each dtype;
so do their gradients. Every parameter begins on a multiple of ALIGNMENT bytes, as torch's own
allocations do; what lies between is zero and stays zero.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

ALIGNMENT = 64


@dataclass(frozen=True)
class Place:
    """Where one parameter lies in its buffer, in which layout."""

    buffer: int
    start: int
    shape: torch.Size
    stride: tuple[int, ...]

    def of(self, flat: Tensor) -> Tensor:
        """Its part of a tensor as long as its buffer."""
        part = flat[self.start : self.start + self.shape.numel()]
        return part.as_strided(self.shape, self.stride)

    def saved(self, flat: Tensor) -> Tensor:
        """Its part as it is saved: a single number has a dimension, which tells its moments from
        an optimizer's count of steps."""
        return self.of(flat) if self.shape else self.of(flat)[None]


class FlatParameters:
    """The buffers of one network, which must not be moved or cast afterwards."""

    def __init__(self, net: nn.Module) -> None:
        parameters = list(net.parameters())
        kinds: dict[Any, int] = {}  # to the number of a buffer; those that are trained come first
        for p in sorted(parameters, key=lambda p: not p.requires_grad):
            kinds.setdefault((p.requires_grad, p.dtype, p.device), len(kinds))
        sizes = [0] * len(kinds)
        self._places: list[Place] = []
        for p in parameters:
            buffer = kinds[p.requires_grad, p.dtype, p.device]
            stride = torch.empty_like(p).stride()  # without gaps
            self._places.append(Place(buffer, sizes[buffer], p.shape, stride))
            unit = ALIGNMENT // p.element_size()
            sizes[buffer] += -(-p.numel() // unit) * unit
        self.buffers = [
            nn.Parameter(torch.zeros(size, dtype=dtype, device=device), requires_grad=trained)
            for size, (trained, dtype, device) in zip(sizes, kinds, strict=True)
        ]
        self.trained = [b for b in self.buffers if b.requires_grad]
        self.gradients = [torch.zeros_like(b) for b in self.trained]
        for p, view in zip(parameters, self.views([b.detach() for b in self.buffers]), strict=True):
            view.copy_(p.detach())
            p.data = view
        for b, gradient in zip(self.trained, self.gradients, strict=True):
            b.grad = gradient
        self._accumulated = [
            (p, place.of(self.gradients[place.buffer]))
            for p, place in zip(parameters, self._places, strict=True)
            if p.requires_grad
        ]

    def views(self, flats: Sequence[Tensor]) -> list[Tensor]:
        """Every parameter's part of flat tensors, one a buffer, in the network's order."""
        return [place.of(flats[place.buffer]) for place in self._places]

    def zero_gradients(self) -> None:
        """All zero, and those that the next backward adds to, whatever came between."""
        for parameter, view in self._accumulated:
            if parameter.grad is not view:
                parameter.grad = view
        for gradient in self.gradients:
            gradient.zero_()

    @property
    def _trained_places(self) -> list[Place]:
        return [place for place in self._places if place.buffer < len(self.trained)]

    def apart(self, state: dict[str, Any]) -> dict[str, Any]:
        """The state_dict of an elementwise optimizer of `trained`, as one of the parameters."""
        split: dict[int, dict[str, Any]] = {}
        for number, place in enumerate(self._trained_places):
            like = self.trained[place.buffer]
            split[number] = {
                key: place.saved(value) if _fits(value, like.shape) else copy.deepcopy(value)
                for key, value in state["state"].get(place.buffer, {}).items()
            }
        (group,) = state["param_groups"]
        return {"state": split, "param_groups": [{**group, "params": list(split)}]}

    def joined(self, state: dict[str, Any]) -> dict[str, Any]:
        """What `apart` took apart."""
        whole: dict[int, dict[str, Any]] = {k: {} for k in range(len(self.trained))}
        for number, place in enumerate(self._trained_places):
            flat = whole[place.buffer]
            for key, value in state["state"].get(number, {}).items():
                if _fits(value, place.shape or torch.Size((1,))):
                    like = self.trained[place.buffer].detach()
                    flat.setdefault(key, torch.zeros_like(like, dtype=value.dtype))
                    place.saved(flat[key]).copy_(value)
                else:
                    flat[key] = value
        (group,) = state["param_groups"]
        return {"state": whole, "param_groups": [{**group, "params": list(whole)}]}


def _fits(value: Any, shape: torch.Size) -> bool:
    return isinstance(value, Tensor) and value.shape == shape
