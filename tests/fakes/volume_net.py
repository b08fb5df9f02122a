"""A 3D network as a user would bring it: "tests/fakes/volume_net.py:build"."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from backbones.backbone import Backbone
from backbones.embeddings import SINUSOIDAL_RANGE, Sinusoidal
from backbones.inputs import Inputs

WAVES = 8  # features of the noise level


@dataclass(frozen=True, kw_only=True)
class Args:
    """Channels of the one hidden layer."""

    width: int = 4


class Volumes(Backbone):
    """Two 3D convolutions, the noise level's features as more channels; no classes, no numbers."""

    def __init__(self, inputs: Inputs, width: int) -> None:
        super().__init__(inputs, c_noise_range=SINUSOIDAL_RANGE, spatial_dims=(3,))
        if inputs.n_classes or inputs.vector_dim:
            raise ValueError("the network takes neither classes nor numbers of a case")
        self.noise = Sinusoidal(WAVES)
        self.first = nn.Conv3d(inputs.in_channels + WAVES, width, 3, padding=1)
        self.last = nn.Conv3d(width, inputs.out_channels, 3, padding=1)

    def forward(
        self,
        x: Tensor,
        c_noise: Tensor,
        cond: Tensor | None = None,
        vector: Tensor | None = None,
    ) -> Tensor:
        """[N, C, D, H, W], [N] -> [N, C_out, D, H, W]."""
        self.check_inputs(x, c_noise, cond, vector)
        level = self.noise(c_noise).to(x.dtype)[:, :, None, None, None]
        h = torch.cat([x, level.expand(-1, -1, *x.shape[2:])], 1)
        result: Tensor = self.last(nn.functional.silu(self.first(h)))
        return result


def build(inputs: Inputs, args: Args) -> Volumes:
    """A new network; the sides of a volume may differ."""
    return Volumes(inputs, args.width)
