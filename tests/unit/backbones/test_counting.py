"""FLOPs and blocks against counts by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from backbones.backbone import Backbone
from backbones.blocks import SelfAttention
from backbones.counting import blocks, example, forward_flops, parameters, training_flops
from backbones.ddpmpp import song_style
from backbones.inputs import Inputs
from bench import networks
from tests.fakes import volume_net

SMALL: dict[str, Any] = {"width": 16, "multipliers": (1, 2, 2), "blocks": 1, "attention": (8,)}
GREY32 = Inputs(spatial=(32, 32), channels=1, out_channels=1)


class TwoLayers(Backbone):
    """A convolution and an attention: countable by hand."""

    def __init__(self) -> None:
        inputs = Inputs(spatial=(8, 8), channels=4, out_channels=4)
        super().__init__(inputs, c_noise_range=(0.0, 1.0))
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.attend = SelfAttention(4, song_style("box"))

    def forward(
        self,
        x: Tensor,
        c_noise: Tensor,
        cond: Tensor | None = None,
        vector: Tensor | None = None,
    ) -> Tensor:
        out: Tensor = self.attend(self.conv(x))
        return out


def test_flops_by_hand() -> None:
    net = TwoLayers()
    pixels, channels = 64, 4
    convolution = 2 * pixels * channels * channels * 9
    dense = 2 * pixels * channels * (3 * channels + channels)  # queries, keys, values; output
    attention = 2 * (2 * pixels * pixels * channels)  # scores; weighted sum
    assert forward_flops(net) == convolution + dense + attention
    # Backward: every product has two gradients, but the image needs none.
    assert training_flops(net) == 2 * convolution + 3 * (dense + attention)


def test_flops_grow_with_the_image_and_not_with_the_batch() -> None:
    args = {**SMALL, "attention": ()}
    at_32, at_64, oblong = (
        forward_flops(networks.build("ddpmpp", replace(GREY32, spatial=spatial), **args))
        for spatial in ((32, 32), (64, 64), (32, 64))
    )
    # all but the embedding and the attention in the middle: four times the pixels, or twice
    assert 3.9 < at_64 / at_32 < 4.3
    assert 1.95 < oblong / at_32 < 2.15


def test_flops_of_a_volume_by_hand() -> None:
    inputs = Inputs(spatial=(4, 6, 8), channels=1, out_channels=2, condition_channels=3)
    net = networks.build(f"{volume_net.__file__}:build", inputs, width=5)
    taps, voxels = 27, 4 * 6 * 8
    first, last = 5 * (1 + 3 + volume_net.WAVES), 2 * 5
    assert forward_flops(net) == 2 * taps * voxels * (first + last)
    assert training_flops(net) == 2 * taps * voxels * (2 * first + 3 * last)
    assert [b.spatial for b in blocks(net)][-1] == (4, 6, 8)


def test_examples_have_all_that_the_network_takes_and_draw_from_no_global_generator() -> None:
    inputs = Inputs(
        spatial=(4, 6), channels=1, out_channels=1, condition_channels=2, n_classes=2, vector_dim=5
    )
    before = torch.random.get_rng_state()
    x, c_noise, cond, vector = example(inputs, 3)
    assert torch.equal(before, torch.random.get_rng_state())
    assert x.shape == (3, 3, 4, 6)
    assert c_noise.tolist() == pytest.approx([0, 1 / 3, 2 / 3])
    assert cond is not None
    assert cond.tolist() == [0, 1, 0]
    assert cond.dtype == torch.int64
    assert vector is not None
    assert vector.shape == (3, 5)
    assert x.dtype == c_noise.dtype == vector.dtype == torch.float32
    assert torch.equal(x, example(inputs, 3)[0])
    assert example(GREY32, 2)[2:] == (None, None)
    assert {t.device.type for t in example(inputs, 3, "meta") if t is not None} == {"meta"}


@pytest.mark.parametrize("name", ["adm", "ddpmpp", "ncsnpp"])
def test_flops_without_running_equal_those_of_a_run(name: str) -> None:
    net = networks.build(name, GREY32, **{**SMALL, "attention": ()})
    middle = next(m for m in net.modules() if isinstance(m, SelfAttention))
    middle.forward = lambda x: x  # type: ignore[method-assign]  # torch counts none of its CPU kernel
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(torch.randn(1, 1, 32, 32), torch.ones(1))
    assert forward_flops(net) == counter.get_total_flops()


def test_inspection_leaves_the_network_as_it_was() -> None:
    net = networks.build("ncsnpp", GREY32, **SMALL)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    training_flops(net)
    blocks(net)
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())
    assert all(p.grad is None and p.device.type == "cpu" for p in net.parameters())
    assert not any(m._forward_hooks for m in net.modules())


def test_blocks_of_a_small_ddpmpp_in_the_order_they_run() -> None:
    net = networks.build("ddpmpp", GREY32, **SMALL)
    listed = blocks(net)
    rows = [(b.kind, b.channels_in, b.channels_out, b.spatial[:1], b.attention) for b in listed]
    assert rows == [
        ("embedding", 0, 0, (), False),
        ("stem", 1, 16, (32,), False),
        ("residual", 16, 16, (32,), False),
        ("down", 16, 16, (16,), False),
        ("residual", 16, 32, (16,), False),
        ("down", 32, 32, (8,), False),
        ("residual", 32, 32, (8,), True),
        ("residual", 32, 32, (8,), True),  # the middle
        ("residual", 32, 32, (8,), False),
        ("residual", 64, 32, (8,), False),
        ("residual", 64, 32, (8,), True),
        ("up", 32, 32, (16,), False),
        ("residual", 64, 32, (16,), False),
        ("residual", 48, 32, (16,), False),
        ("up", 32, 32, (32,), False),
        ("residual", 48, 16, (32,), False),
        ("residual", 32, 16, (32,), False),
        ("head", 16, 1, (32,), False),
    ]
    assert sum(b.parameters for b in listed) == parameters(net)


def test_blocks_of_a_network_that_names_none_are_its_children() -> None:
    listed = blocks(TwoLayers())
    assert [(b.name, b.kind, b.attention) for b in listed] == [
        ("conv", "Conv2d", False),
        ("attend", "SelfAttention", True),
    ]
