"""A network that passes over a large image or volume in overlapping tiles, blended smoothly.

Memory of a pass is that of a tile. Tiles lie on a regular grid with half a tile between two, the
last at the far border; a tile's weight falls linearly from its middle to its borders, so that
nothing jumps where one begins. Away from tiles' borders the answers are those of the whole, to
rounding, but for group normalisation, which takes its means over a tile: with it and random weights
they differ by a tenth of their spread (tests/unit/methods/test_tiling.py).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from bench.errors import BenchError


class Tiled(nn.Module):
    """A backbone that answers as its network does, tile by tile; the noise level is the same."""

    def __init__(self, net: nn.Module, tile: tuple[int, ...]) -> None:
        super().__init__()
        self.net, self.tile = net, tile
        self.inputs, self.c_noise_range = net.inputs, net.c_noise_range

    def forward(
        self,
        x: Tensor,
        c_noise: Tensor,
        cond: Tensor | None = None,
        vector: Tensor | None = None,
    ) -> Tensor:
        """See Backbone: [N, C, *spatial] -> [N, C_out, *spatial]."""
        sides = tuple(x.shape[2:])
        if len(sides) != len(self.tile):
            raise BenchError(f"tile {self.tile} has not as many sides as {sides}")
        tile = tuple(min(pair) for pair in zip(self.tile, sides, strict=True))
        known = {} if vector is None else {"vector": vector}
        weight = blending_weight(tile).to(x)
        answers: Tensor | None = None
        weights = x.new_zeros(sides)
        for starts in itertools.product(*map(tile_starts, sides, tile)):
            place: Any = tuple(slice(a, a + t) for a, t in zip(starts, tile, strict=True))
            answer = self.net(x[(..., *place)].contiguous(), c_noise, cond, **known)
            if answers is None:
                answers = answer.new_zeros(*answer.shape[:2], *sides)
            answers[(..., *place)] += answer * weight
            weights[place] += weight
        assert answers is not None
        return answers / weights


def tile_starts(side: int, tile: int) -> list[int]:
    """Where tiles begin along a side: half a tile apart, the last at the far border."""
    starts = list(range(0, side - tile, max(tile // 2, 1)))
    return [*starts, side - tile]


def blending_weight(tile: Sequence[int]) -> Tensor:
    """float32 [*tile]: 1 in the middle, falling linearly to near 0 along each axis."""
    weight = torch.ones(())
    for side in tile:
        places = torch.arange(side) + 0.5
        weight = weight[..., None] * torch.minimum(places, side - places) * (2 / side)
    return weight


def tiled(nets: Sequence[nn.Module], tile: tuple[int, ...]) -> list[nn.Module]:
    """The networks themselves, or in tiles where there is a size for these."""
    return [Tiled(net, tile) for net in nets] if tile else list(nets)


def tiling_notes(tile: Sequence[int]) -> list[str]:
    """What a trial that answers in tiles says of it."""
    sides = " x ".join(map(str, tile))
    return [f"answered in overlapping tiles of {sides}, blended"] if tile else []
