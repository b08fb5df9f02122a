"""A network of a user's with batch normalisation: "tests/fakes/batch_norm_net.py:build"."""

from dataclasses import dataclass

import torch
from timm.layers import BatchNormAct2d
from torch import Tensor, nn

from backbones.backbone import Backbone
from backbones.embeddings import SINUSOIDAL_RANGE, Sinusoidal
from backbones.inputs import Inputs

WAVES = 8  # features of the noise level


@dataclass(frozen=True, kw_only=True)
class Args:
    """Channels of the hidden layers; dropout before the last."""

    width: int = 8
    dropout: float = 0.0


class Normalised(Backbone):
    """Three convolutions, torch's batch normalisation after the first, timm's after the second."""

    def __init__(self, inputs: Inputs, width: int, dropout: float) -> None:
        super().__init__(inputs, c_noise_range=SINUSOIDAL_RANGE)
        if inputs.n_classes or inputs.vector_dim:
            raise ValueError("the network takes neither classes nor numbers of a case")
        self.noise = Sinusoidal(WAVES)
        self.first = nn.Conv2d(inputs.in_channels + WAVES, width, 3, padding=1)
        self.norm = nn.BatchNorm2d(width)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        self.norm_act = BatchNormAct2d(width, act_layer=nn.SiLU)
        self.dropout = nn.Dropout(dropout)
        self.last = nn.Conv2d(width, inputs.out_channels, 3, padding=1)

    def forward(
        self,
        x: Tensor,
        c_noise: Tensor,
        cond: Tensor | None = None,
        vector: Tensor | None = None,
    ) -> Tensor:
        """[N, C, H, W], [N] -> [N, C_out, H, W]."""
        self.check_inputs(x, c_noise, cond, vector)
        level = self.noise(c_noise).to(x.dtype)[:, :, None, None]
        h = torch.cat([x, level.expand(-1, -1, *x.shape[2:])], 1)
        h = nn.functional.silu(self.norm(self.first(h)))
        result: Tensor = self.last(self.dropout(self.norm_act(self.second(h))))
        return result


def build(inputs: Inputs, args: Args) -> Normalised:
    """A new network."""
    return Normalised(inputs, args.width, args.dropout)
