"""The shared U-Net: the path an image takes, spelled out; what tells the three designs apart."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from backbones.blocks import ResidualBlock, SelfAttention
from backbones.counting import blocks
from backbones.inputs import Inputs
from bench import networks

SMALL: dict[str, Any] = {"width": 8, "multipliers": (1, 2), "blocks": 1, "attention": (8,)}


def _net(name: str, **args: Any) -> nn.Module:
    torch.manual_seed(0)
    inputs = Inputs(spatial=(8, 8), channels=2, out_channels=1)
    net = networks.build(name, inputs, **{**SMALL, **args}).double().eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return net


@pytest.mark.parametrize("name", ["adm", "ddpmpp", "ncsnpp"])
@torch.no_grad()
def test_the_path_of_an_image(name: str) -> None:
    net = _net(name)
    e, d = net.get_submodule("encoder"), net.get_submodule("decoder")
    assert isinstance(e, nn.ModuleDict)
    assert isinstance(d, nn.ModuleDict)
    x = torch.randn(2, 2, 8, 8, dtype=torch.float64)
    t = torch.tensor([0.3, 0.7], dtype=torch.float64)
    emb = net.get_submodule("embedding")(t, None, None)

    stem = e["8_stem"](x)
    fine = e["8_block0"](stem, emb)
    down = e["4_down"](fine, emb)
    if name == "ncsnpp":
        down = (down + e["4_pyramid"](x)) / math.sqrt(2)
    coarse = e["4_block0"](down, emb)

    def joined(h: Tensor, skip: Tensor, key: str) -> Tensor:
        out: Tensor = d[key](torch.cat([h, skip], dim=1), emb)
        return out

    h = d["4_middle1"](d["4_middle0"](coarse, emb), emb)
    h = joined(joined(h, coarse, "4_block0"), down, "4_block1")
    h = d["8_up"](h, emb)
    h = joined(joined(h, fine, "8_block0"), stem, "8_block1")
    torch.testing.assert_close(net(x, t), net.get_submodule("head")(h))


@torch.no_grad()
def test_the_pyramid_of_the_second_level_continues_the_first() -> None:
    net = _net("ncsnpp", multipliers=(1, 2, 2), attention=())
    encoder = net.get_submodule("encoder")
    assert isinstance(encoder, nn.ModuleDict)
    seen: dict[str, Tensor] = {}

    def keep(key: str) -> Any:
        return lambda module, inputs, output: seen.update({f"{key}>": inputs[0], key: output})

    for key in ("4_down", "4_pyramid", "4_block0", "2_pyramid"):
        encoder[key].register_forward_hook(keep(key))
    net(torch.randn(1, 2, 8, 8, dtype=torch.float64), torch.tensor([0.5], dtype=torch.float64))
    mixed = (seen["4_down"] + seen["4_pyramid"]) / math.sqrt(2)
    torch.testing.assert_close(seen["4_block0>"], mixed)
    torch.testing.assert_close(seen["2_pyramid>"], mixed)


def test_attention_in_the_decoder() -> None:
    # at 8: the one encoder block; in the decoder all (ADM) or the last (DDPM++, NCSN++); the middle
    expected = {"adm": [True, True], "ddpmpp": [False, True], "ncsnpp": [False, True]}
    for name, decoder in expected.items():
        net = networks.build(name, Inputs(spatial=(8, 8), channels=1, out_channels=1), **SMALL)
        attends = {b.name: b.attention for b in blocks(net)}
        assert attends["encoder.8_block0"]
        assert attends["decoder.4_middle0"]
        assert not attends["decoder.4_middle1"]
        assert [attends["decoder.8_block0"], attends["decoder.8_block1"]] == decoder
        assert not attends["encoder.4_block0"]


@pytest.mark.parametrize(
    ("name", "scale_shift", "skip_scale", "eps", "kernel", "heads"),
    [
        ("adm", True, 1.0, 1e-5, "box", 2),
        ("ddpmpp", False, math.sqrt(0.5), 1e-6, "box", 1),
        ("ncsnpp", False, math.sqrt(0.5), 1e-6, "binomial", 1),
    ],
)
def test_styles_of_the_authors(
    name: str, scale_shift: bool, skip_scale: float, eps: float, kernel: str, heads: int
) -> None:
    with torch.device("meta"):
        inputs = Inputs(spatial=(16, 16), channels=1, out_channels=1)
        net = networks.build(name, inputs, width=128, attention=(16,), blocks=1)
    modules = list(net.modules())
    for block in modules:
        if isinstance(block, ResidualBlock):
            style = block.style
            assert (style.scale_shift, style.skip_scale) == (scale_shift, skip_scale)
            assert style.filter == kernel
            assert block.dropout == 0.10
    assert {m.eps for m in modules if isinstance(m, nn.GroupNorm)} == {eps}
    attention = next(m for m in modules if isinstance(m, SelfAttention))
    assert attention.heads == heads
