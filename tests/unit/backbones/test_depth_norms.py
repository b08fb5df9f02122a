"""Norms by depth: a chain of known factors, a network left as it was, and the three skips."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from backbones.backbone import Backbone
from backbones.counting import blocks
from backbones.depth_norms import depth_norms
from backbones.inputs import Inputs
from bench import networks

TINY: dict[str, Any] = {"width": 4, "multipliers": (1, 1, 1), "blocks": 2, "groups": 2}


class Factor(nn.Module):
    kind = "factor"

    def __init__(self, by: float) -> None:
        super().__init__()
        self.by = nn.Parameter(torch.tensor(by))

    def forward(self, x: Tensor) -> Tensor:
        return self.by * x


class Chain(Backbone):
    """Times 3, then times 5."""

    def __init__(self) -> None:
        super().__init__(Inputs(spatial=(2, 3), channels=1, out_channels=1), c_noise_range=(0, 1))
        self.first, self.second = Factor(3.0), Factor(5.0)

    def forward(
        self,
        x: Tensor,
        c_noise: Tensor,
        cond: Tensor | None = None,
        vector: Tensor | None = None,
    ) -> Tensor:
        out: Tensor = self.second(self.first(x))
        return out


def test_norms_of_a_chain_by_hand() -> None:
    x = torch.full((2, 1, 2, 3), 2.0)  # 12 numbers; the answer is 30, of a target of 0
    rows = depth_norms(Chain(), x, torch.zeros(2), torch.zeros_like(x))
    assert [row.name for row in rows] == ["first", "second"]
    assert [row.activation_rms for row in rows] == [6, 30]
    at_the_end = 2 * 30 / 12
    assert [row.gradient_rms for row in rows] == pytest.approx([5 * at_the_end, at_the_end])


def test_steps_are_adams_and_the_network_is_left_as_it_was() -> None:
    net, x = Chain(), torch.full((2, 1, 2, 3), 2.0)
    rows = depth_norms(net, x, torch.zeros(2), torch.zeros_like(x), steps=1, lr=0.5)
    # Adam's first step is lr times the sign of the gradient
    assert [row.activation_rms for row in rows] == pytest.approx([2 * 2.5, 2 * 2.5 * 4.5])
    assert [float(p.detach()) for p in net.parameters()] == [3, 5]
    assert all(p.grad is None and not p._backward_hooks for p in net.parameters())
    assert not any(module._forward_hooks for module in net.modules())


def _rows(skip: str, steps: int = 0, **args: Any) -> list[Any]:
    inputs = Inputs(spatial=(8, 8, 8), channels=2, out_channels=1)
    torch.manual_seed(0)
    net = networks.build("volume_unet", inputs, **TINY, skip=skip, **args)
    torch.manual_seed(1)
    x, target = torch.randn(2, 2, 8, 8, 8), torch.randn(2, 1, 8, 8, 8)
    return depth_norms(net, x, torch.tensor([10.0, 600.0]), target, steps=steps)


@pytest.mark.parametrize("skip", ["average", "concatenate", "add"])
def test_every_block_of_the_volume_unet_has_a_row(skip: str) -> None:
    inputs = Inputs(spatial=(8, 8, 8), channels=2, out_channels=1)
    listed = [b.name for b in blocks(networks.build("volume_unet", inputs, **TINY, skip=skip))]
    at_start, later = _rows(skip), _rows(skip, steps=3)
    assert [row.name for row in at_start] == listed[1:]  # without the embedding
    # the last layer is zero at the start, so that nothing goes back
    assert [row.name for row in at_start if row.gradient_rms > 0] == ["head"]
    assert all(row.gradient_rms > 0 and math.isfinite(row.gradient_rms) for row in later)


def test_checkpointing_changes_no_norm() -> None:
    assert _rows("average", 2, checkpointing=True) == _rows("average", 2)


def test_added_skips_grow_with_depth_and_averaged_ones_do_not() -> None:
    def growth(skip: str) -> float:
        rows = {row.name: row.activation_rms for row in _rows(skip)}
        return rows["decoder.level0_block2"] / rows["encoder.level0_stem"]

    assert growth("average") < 1.5
    assert growth("add") > 3 * growth("average")


def test_averaging_halves_the_gradient_at_each_join_and_adding_does_not() -> None:
    """After a step of the last layer alone: the blocks are still their shortcuts."""
    for skip, factor in (("average", 0.5), ("add", 1.0)):
        rows = {row.name: row.gradient_rms for row in _rows(skip, steps=1)}
        deeper, finer = rows["decoder.level2_block0"], rows["decoder.level2_block1"]
        assert deeper / finer == pytest.approx(factor, rel=1e-3)
