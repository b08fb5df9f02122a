"""The small U-Net against the seed's description, spelled out in plain operations."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from backbones.counting import blocks, parameters
from backbones.embeddings import Sinusoidal
from backbones.inputs import Inputs
from bench import networks


@torch.no_grad()
def test_the_path_of_an_image() -> None:
    torch.manual_seed(0)
    inputs = Inputs(spatial=(8, 8), channels=2, out_channels=1)
    net = networks.build("small_unet", inputs, widths=(8, 12), blocks=1).double().eval()
    for parameter in net.parameters():
        parameter.add_(0.1 * torch.randn_like(parameter))
    weights = dict(net.named_parameters())

    def conv(x: Tensor, name: str) -> Tensor:
        weight = weights[f"{name}.weight"]
        return F.conv2d(x, weight, weights[f"{name}.bias"], padding=weight.shape[-1] // 2)

    def block(x: Tensor, name: str) -> Tensor:
        groups = x.shape[1] // 4
        parts = x.reshape(len(x), groups, 4, *x.shape[2:])
        mean = parts.mean(dim=(2, 3, 4), keepdim=True)
        variance = parts.var(dim=(2, 3, 4), keepdim=True, correction=0)
        normed = ((parts - mean) / (variance + 1e-5).sqrt()).flatten(1, 2)
        h = conv(normed, f"{name}.conv0")
        branch = conv(h * h.sigmoid(), f"{name}.conv1")
        return branch + (conv(x, f"{name}.skip") if f"{name}.skip.weight" in weights else x)

    x = torch.randn(2, 2, 8, 8, dtype=torch.float64)
    c_noise = torch.tensor([0.3, 0.7], dtype=torch.float64)
    planes = Sinusoidal(32)(c_noise).double()[:, :, None, None].expand(-1, -1, 8, 8)
    fine = block(torch.cat([conv(x, "stem.conv"), planes], dim=1), "encoder.0.0")
    coarse = fine.reshape(2, 8, 4, 2, 4, 2).mean(dim=(3, 5))
    middle = block(coarse, "middle.0")
    # bilinear: three quarters of the nearest pixel and one of the next, edges repeated
    up = middle
    for dim in (2, 3):
        edge = torch.cat([up.narrow(dim, 0, 1), up, up.narrow(dim, 3, 1)], dim=dim)
        before, after = edge.narrow(dim, 0, 4), edge.narrow(dim, 2, 4)
        pair = torch.stack([0.75 * up + 0.25 * before, 0.75 * up + 0.25 * after], dim=dim + 1)
        up = pair.flatten(dim, dim + 1)
    last = block(torch.cat([up, fine], dim=1), "decoder.0.0")
    torch.testing.assert_close(net(x, c_noise), conv(last, "head.conv"))


def test_the_default_is_the_seed_documents() -> None:
    with torch.device("meta"):
        net = networks.build("small_unet", Inputs(spatial=(64, 64), channels=3, out_channels=3))
    listed = blocks(net)
    assert not any(block.attention for block in listed)
    assert listed[0].channels_out == 32 + 32  # image beside the noise level
    rows = [(b.channels_in, b.channels_out, b.spatial[0]) for b in listed[1:-1]]
    assert rows == [
        (64, 32, 64), (32, 32, 64),
        (32, 64, 32), (64, 64, 32),
        (64, 96, 16), (96, 96, 16),
        (96, 128, 8), (128, 128, 8),
        (128 + 96, 96, 16), (96 + 96, 96, 16),
        (96 + 64, 64, 32), (64 + 64, 64, 32),
        (64 + 32, 32, 64), (32 + 32, 32, 64),
    ]  # fmt: skip

    # by hand: two 3x3 convolutions a block, a 1x1 one where the width changes, 1x1 at both ends
    def block(a: int, b: int) -> int:
        return 9 * a * b + b + 9 * b * b + b + (a * b + b if a != b else 0)

    ends = 3 * 32 + 32 + 32 * 3 + 3
    assert parameters(net) == ends + sum(block(a, b) for a, b, _ in rows)


def test_attention_is_an_option() -> None:
    inputs = Inputs(spatial=(16, 16), channels=1, out_channels=1)
    net = networks.build("small_unet", inputs, widths=(8, 12, 16), attention=(8, 4))
    attended = {b.spatial for b in blocks(net) if b.attention}
    assert attended == {(8, 8), (4, 4)}
    assert sum(isinstance(m, nn.Linear) for m in net.modules()) == 2 * (2 + 2 + 2)
