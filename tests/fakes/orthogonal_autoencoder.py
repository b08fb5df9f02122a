"""An exact autoencoder: each 2x2 block of a grey picture, turned by an orthogonal matrix."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from scipy.stats import ortho_group
from torch import Tensor, nn
from torch.nn import functional as F

TURN = torch.from_numpy(ortho_group.rvs(4, random_state=0)).float()
EXACT = -60.0  # log-variance: nothing of a draw is left in float32


class Orthogonal(nn.Module):
    """Satisfies bench.methods.frozen_autoencoder.Network."""

    channels, latent_channels, factor = 1, 4, 2

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("turn", TURN.clone())

    def moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mean = turned(x)
        return mean, torch.full_like(mean, EXACT)

    def decode(self, z: Tensor) -> Tensor:
        return turned_back(z)


def build(config: Mapping[str, Any]) -> Orthogonal:
    return Orthogonal()


def turned(x: Tensor) -> Tensor:
    return torch.einsum("ij,njhw->nihw", TURN.to(x.dtype), F.pixel_unshuffle(x, 2))


def turned_back(z: Tensor) -> Tensor:
    return F.pixel_shuffle(torch.einsum("ij,nihw->njhw", TURN.to(z.dtype), z), 2)
