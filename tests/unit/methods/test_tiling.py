"""Passes in overlapping tiles: what they cover, and that they agree with the whole."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from backbones.inputs import Inputs
from bench import networks
from bench.methods.tiling import Tiled, blending_weight, tile_starts, tiled


class Local(nn.Module):
    """A network that sees one voxel around each: whole and tiles differ at tiles' rims alone."""

    inputs, c_noise_range = None, (0.0, 1.0)

    def __init__(self, dims: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = {2: nn.Conv2d, 3: nn.Conv3d}[dims](2, 1, 3, padding=1)
        self.sizes: list[tuple[int, ...]] = []

    def forward(self, x: Tensor, c_noise: Tensor, cond: Tensor | None = None) -> Tensor:
        self.sizes.append(tuple(x.shape[2:]))
        result: Tensor = self.conv(x) * c_noise[0]
        return result


@pytest.mark.parametrize(("sides", "tile"), [((24, 17), (8, 8)), ((12, 16, 9), (6, 8, 16))])
def test_tiles_blend_into_the_whole(sides: tuple[int, ...], tile: tuple[int, ...]) -> None:
    net, x = Local(len(sides)), torch.randn(2, 2, *sides)
    level = torch.full((2,), 0.5)
    with torch.no_grad():
        whole, answer = net(x, level), Tiled(net, tile)(x, level)
    assert max(net.sizes[1:]) <= tuple(min(pair) for pair in zip(tile, sides, strict=True))
    gap = (answer - whole).abs()
    # a voxel is taken from the tile in whose middle it is, so that rims count little
    assert float(gap.mean()) < 0.1 * float(whole.abs().mean())
    inner = tuple(slice(0, t // 2 - 1) for t in (min(p) for p in zip(tile, sides, strict=True)))
    torch.testing.assert_close(answer[(..., *inner)], whole[(..., *inner)])


def test_pointwise_networks_are_answered_to_rounding() -> None:
    class Point(Local):
        def forward(self, x: Tensor, c_noise: Tensor, cond: Tensor | None = None) -> Tensor:
            return x[:, :1].sin()

    x = torch.randn(1, 2, 20, 14, 10)
    answer = Tiled(Point(3), (8, 8, 8))(x, torch.zeros(1))
    torch.testing.assert_close(answer, x[:, :1].sin())


@pytest.mark.parametrize(("normed", "tolerance"), [(False, 1e-5), (True, 0.15)])
def test_a_network_of_volumes_agrees_away_from_the_borders_of_tiles(
    normed: bool, tolerance: float
) -> None:
    """To rounding but for its group norms, which take their means over a tile; of the spread."""
    inputs = Inputs(spatial=(32, 32, 32), channels=1, out_channels=1, condition_channels=1)
    torch.manual_seed(0)
    net = networks.build("volume_unet", inputs, width=8, multipliers=(1, 2), blocks=1, groups=4)
    for parameter in net.parameters():  # its last layers start at zero
        if not parameter.any():
            nn.init.normal_(parameter, std=0.05)
    for module in [] if normed else list(net.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.GroupNorm):
                setattr(module, name, nn.Identity())
    x, level = torch.randn(1, 2, 48, 48, 48), torch.full((1,), 0.5)
    with torch.no_grad():
        whole, answer = net.eval()(x, level), Tiled(net, (32, 32, 32))(x, level)
    middle_of_the_first = (slice(None), slice(None), *(slice(0, 10),) * 3)
    gap = (answer - whole)[middle_of_the_first].abs().max()
    assert 0 < float(gap) < tolerance * float(whole.std())


def test_starts_reach_both_borders() -> None:
    assert tile_starts(16, 16) == [0]
    assert tile_starts(17, 8) == [0, 4, 8, 9]
    weight = blending_weight((4, 6))
    assert weight.shape == (4, 6)
    assert float(weight.min()) > 0
    assert torch.equal(weight, weight.flip(0, 1))


def test_without_a_tile_networks_stay_as_they_are() -> None:
    net = Local(2)
    assert tiled([net], ()) == [net]
    assert isinstance(tiled([net], (4, 4))[0], Tiled)
