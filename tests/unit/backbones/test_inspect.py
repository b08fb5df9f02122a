"""FLOPs and blocks against counts by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import backbones
from backbones.backbone import Backbone
from backbones.blocks import SelfAttention
from backbones.counting import blocks, forward_flops, parameters, training_flops
from backbones.ddpmpp import song_style

SMALL: dict[str, Any] = {"width": 16, "multipliers": (1, 2, 2), "blocks": 1, "attention": (8,)}
GREY32 = {"resolution": 32, "in_channels": 1, "out_channels": 1}


class TwoLayers(Backbone):
    """A convolution and an attention: countable by hand."""

    def __init__(self) -> None:
        super().__init__(
            resolution=8, in_channels=4, out_channels=4, n_classes=0, c_noise_range=(0.0, 1.0)
        )
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.attend = SelfAttention(4, song_style("box"))

    def forward(self, x: Tensor, c_noise: Tensor, cond: Tensor | None = None) -> Tensor:
        out: Tensor = self.attend(self.conv(x))
        return out


def test_flops_by_hand() -> None:
    net = TwoLayers()
    pixels, channels = 64, 4
    convolution = 2 * pixels * channels * channels * 9
    dense = 2 * pixels * channels * (3 * channels + channels)  # queries, keys, values; output
    attention = 2 * (2 * pixels * pixels * channels)  # scores; weighted sum
    assert forward_flops(net, 8, 4) == convolution + dense + attention
    # Backward: every product has two gradients, but the image needs none.
    assert training_flops(net, 8, 4) == 2 * convolution + 3 * (dense + attention)


def test_flops_grow_with_the_image_and_not_with_the_batch() -> None:
    net = backbones.build("ddpmpp", **GREY32, **{**SMALL, "attention": ()})
    at_32, at_64 = (forward_flops(net, side, 1) for side in (32, 64))
    # all but the embedding and the attention in the middle: four times the pixels
    assert 3.9 < at_64 / at_32 < 4.3


@pytest.mark.parametrize("name", ["adm", "ddpmpp", "ncsnpp"])
def test_flops_without_running_equal_those_of_a_run(name: str) -> None:
    net = backbones.build(name, **GREY32, **{**SMALL, "attention": ()})
    middle = next(m for m in net.modules() if isinstance(m, SelfAttention))
    middle.forward = lambda x: x  # type: ignore[method-assign]  # torch counts none of its CPU kernel
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(torch.randn(1, 1, 32, 32), torch.ones(1))
    assert forward_flops(net, 32, 1) == counter.get_total_flops()


def test_inspection_leaves_the_network_as_it_was() -> None:
    net = backbones.build("ncsnpp", **GREY32, **SMALL)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    training_flops(net, 32, 1)
    blocks(net)
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())
    assert all(p.grad is None and p.device.type == "cpu" for p in net.parameters())
    assert not any(m._forward_hooks for m in net.modules())


def test_blocks_of_a_small_ddpmpp_in_the_order_they_run() -> None:
    net = backbones.build("ddpmpp", **GREY32, **SMALL)
    found = blocks(net)
    rows = [(b.kind, b.channels_in, b.channels_out, b.resolution, b.attention) for b in found]
    assert rows == [
        ("embedding", 0, 0, 0, False),
        ("stem", 1, 16, 32, False),
        ("residual", 16, 16, 32, False),
        ("down", 16, 16, 16, False),
        ("residual", 16, 32, 16, False),
        ("down", 32, 32, 8, False),
        ("residual", 32, 32, 8, True),
        ("residual", 32, 32, 8, True),  # the middle
        ("residual", 32, 32, 8, False),
        ("residual", 64, 32, 8, False),
        ("residual", 64, 32, 8, True),
        ("up", 32, 32, 16, False),
        ("residual", 64, 32, 16, False),
        ("residual", 48, 32, 16, False),
        ("up", 32, 32, 32, False),
        ("residual", 48, 16, 32, False),
        ("residual", 32, 16, 32, False),
        ("head", 16, 1, 32, False),
    ]
    assert sum(b.parameters for b in found) == parameters(net)


def test_blocks_of_a_network_that_names_none_are_its_children() -> None:
    found = blocks(TwoLayers())
    assert [(b.name, b.kind, b.attention) for b in found] == [
        ("conv", "Conv2d", False),
        ("attend", "SelfAttention", True),
    ]
