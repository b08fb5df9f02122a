"""A 3D network as a user would bring it: "tests/fakes/volume_net.py:build"."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from backbones.backbone import Backbone


@dataclass(frozen=True, kw_only=True)
class Args:
    """Channels of the one hidden layer."""

    width: int = 4


class Volumes(Backbone):
    """Two 3D convolutions, the noise level as one more channel."""

    def __init__(self, channels: int, out: int, width: int, resolution: int) -> None:
        super().__init__(
            resolution=resolution,
            in_channels=channels,
            out_channels=out,
            n_classes=0,
            c_noise_range=(-1.0, 1.0),
        )
        self.first = nn.Conv3d(channels + 1, width, 3, padding=1)
        self.last = nn.Conv3d(width, out, 3, padding=1)

    def forward(self, x: Tensor, c_noise: Tensor, cond: Tensor | None = None) -> Tensor:
        """[N, C, D, H, W], [N] -> [N, C_out, D, H, W]."""
        level = c_noise.to(x.dtype).view(-1, 1, 1, 1, 1).expand(-1, 1, *x.shape[2:])
        result: Tensor = self.last(nn.functional.silu(self.first(torch.cat([x, level], 1))))
        return result


def build(
    *, resolution: int, in_channels: int, out_channels: int, n_classes: int, args: Args
) -> Volumes:
    """A new network; the sides of a volume may differ."""
    return Volumes(in_channels, out_channels, args.width, resolution)
