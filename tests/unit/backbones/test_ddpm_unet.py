"""DDPM's U-Net against diffusers' of the same kind, with the same weights; and its shape."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers import UNet2DModel
from torch import Tensor, nn

from backbones.counting import blocks
from backbones.inputs import Inputs
from backbones.unet import StridedDown
from bench import networks

# 128 channels throughout: 32 groups in every norm, as the peer has one number for all of them
WIDE: dict[str, Any] = {"width": 128, "multipliers": (1, 1), "blocks": 1, "attention": (4,)}
BLOCK = {
    "norm0": "norm1",
    "conv0": "conv1",
    "affine": "time_emb_proj",
    "norm1": "norm2",
    "conv1": "conv2",
    "skip": "conv_shortcut",
}
# our blocks and the peer's, and the peer's attention behind it
PLACES = [
    ("encoder.8_block0", "down_blocks.0.resnets.0", ""),
    ("encoder.4_block0", "down_blocks.1.resnets.0", "down_blocks.1.attentions.0"),
    ("decoder.4_middle0", "mid_block.resnets.0", "mid_block.attentions.0"),
    ("decoder.4_middle1", "mid_block.resnets.1", ""),
    ("decoder.4_block0", "up_blocks.0.resnets.0", "up_blocks.0.attentions.0"),
    ("decoder.4_block1", "up_blocks.0.resnets.1", "up_blocks.0.attentions.1"),
    ("decoder.8_block0", "up_blocks.1.resnets.0", ""),
    ("decoder.8_block1", "up_blocks.1.resnets.1", ""),
]
SINGLE = {
    "encoder.8_stem.conv": "conv_in",
    "encoder.4_down.conv": "down_blocks.0.downsamplers.0.conv",
    "decoder.8_up.conv": "up_blocks.0.upsamplers.0.conv",
    "head.norm": "conv_norm_out",
    "head.conv": "conv_out",
    "embedding.dense0": "time_embedding.linear_1",
    "embedding.dense1": "time_embedding.linear_2",
}


def renamed(peer: dict[str, Tensor]) -> dict[str, Tensor]:
    """The peer's weights under our names."""
    found: dict[str, Tensor] = {}
    pairs = dict(SINGLE)
    for ours, theirs, attention in PLACES:
        pairs |= {f"{ours}.{a}": f"{theirs}.{b}" for a, b in BLOCK.items()}
        if attention:
            pairs |= {
                f"{ours}.attention.norm": f"{attention}.group_norm",
                f"{ours}.attention.out": f"{attention}.to_out.0",
            }
            for part in ("weight", "bias"):
                rows = [peer[f"{attention}.to_{letter}.{part}"] for letter in "qkv"]
                found[f"{ours}.attention.qkv.{part}"] = torch.cat(rows)
    for ours, theirs in pairs.items():
        for part in ("weight", "bias"):
            if f"{theirs}.{part}" in peer:
                found[f"{ours}.{part}"] = peer[f"{theirs}.{part}"]
    first = found["embedding.dense0.weight"]
    found["embedding.dense0.weight"] = first.roll(64, 1)  # sines first there, cosines here
    return found


@torch.no_grad()
def test_it_is_the_peers_network() -> None:
    torch.manual_seed(0)
    peer = UNet2DModel(
        sample_size=8,
        in_channels=2,
        out_channels=1,
        layers_per_block=1,
        block_out_channels=(128, 128),
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=None,
        downsample_padding=0,
        flip_sin_to_cos=False,
        freq_shift=1,
        norm_eps=1e-6,
        norm_num_groups=32,
    ).eval()
    for parameter in peer.parameters():
        if parameter.ndim == 1:  # biases and norms start at 0 and 1
            parameter.add_(0.1 * torch.randn_like(parameter))
    inputs = Inputs(spatial=(8, 8), channels=1, condition_channels=1, out_channels=1)
    net = networks.build("ddpm_unet", inputs, **WIDE).eval()
    net.load_state_dict(renamed(peer.state_dict()))  # strict: every weight has its place
    x, t = torch.randn(3, 2, 8, 8), torch.tensor([0.0, 199.0, 999.0])
    expected = peer(x, t).sample
    # float32, 1e2 layers; the peer's attention and ours sum in another order
    torch.testing.assert_close(net(x, t), expected, rtol=1e-4, atol=1e-5)


def test_the_published_configuration_attends_at_16_and_in_the_middle() -> None:
    with torch.device("meta"):
        inputs = Inputs(spatial=(256, 256), channels=1, condition_channels=1, out_channels=1)
        net = networks.build("ddpm_unet", inputs)
    attended = [(b.name, b.spatial[0]) for b in blocks(net) if b.attention]
    encoder = [("encoder.16_block0", 16), ("encoder.16_block1", 16)]
    decoder = [(f"decoder.16_block{i}", 16) for i in range(3)]
    assert attended == [*encoder, ("decoder.8_middle0", 8), *decoder]
    norms = [m for m in net.modules() if isinstance(m, nn.GroupNorm)]
    assert {(m.num_groups, m.eps) for m in norms} == {(32, 1e-6)}


def test_the_strided_convolution_pads_below_and_to_the_right() -> None:
    down = StridedDown(1, lambda layer: nn.init.ones_(layer.weight))
    nn.init.zeros_(down.conv.bias)
    x = torch.arange(16.0).view(1, 1, 4, 4)
    by_hand = torch.tensor([[x[0, 0, r : r + 3, c : c + 3].sum() for c in (0, 2)] for r in (0, 2)])
    torch.testing.assert_close(down(x)[0, 0], by_hand)


@pytest.mark.parametrize("width", [6, 8, 10, 36])
def test_groups_divide_any_even_width(width: int) -> None:
    inputs = Inputs(spatial=(8, 8), channels=1, out_channels=1)
    net = networks.build("ddpm_unet", inputs, **{**WIDE, "width": width})
    assert net(torch.randn(1, 1, 8, 8), torch.tensor([3.0])).shape == (1, 1, 8, 8)
