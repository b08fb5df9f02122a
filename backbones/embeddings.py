"""How noise level, class and numbers of a case become the vector that conditions every block.

Positional: Vaswani et al. 2017, as used for time steps by Ho et al. 2020 (arXiv 2006.11239).
Fourier: Tancik et al. 2020 (arXiv 2006.10739), as used for ln(sigma) by Song et al. 2021.
The order of sines and cosines does not matter to the dense layers behind; ours is cosines first.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from backbones.blocks import Init, linear, torch_default, zeros

# time steps 0 to M - 1, M = 1000: angles of up to one radian a step
POSITIONAL_RANGE = (0.0, 999.0)
FOURIER_RANGE = (math.log(0.02 / 2), math.log(100 / 2))  # ln(sigma/2) over VE's training noise
SINUSOIDAL_RANGE = (0.0, 1.0)  # a variance: 1 to 1000 turns over the range


def _waves(angles: Tensor) -> Tensor:
    return torch.cat([angles.cos(), angles.sin()], dim=1)


class Positional(nn.Module):
    """[N] -> [N, channels]: angular frequencies falling geometrically from 1 to 1/10000.

    Of an odd number of channels the last is zero, as the authors of ADM pad it.
    """

    def __init__(self, channels: int, *, endpoint: bool) -> None:
        """`endpoint`: the last frequency is 1/10000 itself (DDPM++), else one step short (ADM)."""
        super().__init__()
        self.waves, self.padding = divmod(channels, 2)
        self.last = self.waves - 1 if endpoint else self.waves

    def forward(self, c_noise: Tensor) -> Tensor:
        """Features in float32."""
        steps = torch.arange(self.waves, dtype=torch.float32, device=c_noise.device)
        frequencies = torch.exp(steps * (-math.log(10000.0) / max(self.last, 1)))
        waves = _waves(c_noise.float()[:, None] * frequencies)
        return F.pad(waves, (0, self.padding)) if self.padding else waves


class Fourier(nn.Module):
    """[N] -> [N, channels]: random frequencies, normal with standard deviation 16 turns a unit."""

    def __init__(self, channels: int, scale: float = 16.0) -> None:
        super().__init__()
        self.frequencies: Tensor
        self.register_buffer("frequencies", torch.randn(channels // 2) * scale)

    def forward(self, c_noise: Tensor) -> Tensor:
        """Features in float32."""
        return _waves(c_noise.float()[:, None] * (2 * math.pi * self.frequencies.float()))


class Sinusoidal(nn.Module):
    """[N] -> [N, channels]: frequencies rising from 1 to 1000 turns a unit (Béres)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.waves = channels // 2

    def forward(self, c_noise: Tensor) -> Tensor:
        """Features in float32."""
        exponents = torch.linspace(0, math.log(1000.0), self.waves, device=c_noise.device)
        return _waves(c_noise.float()[:, None] * (2 * math.pi * exponents.exp()))


def one_hot(cond: Tensor, n_classes: int, dtype: torch.dtype) -> Tensor:
    """[N] int -> [N, n_classes]; a row of zeros for -1, no class."""
    return (cond[:, None] == torch.arange(n_classes, device=cond.device)).to(dtype)


class JoinedEmbedding(nn.Module):
    """DDPM++ and NCSN++: noise, class and numbers of a case are added, then two dense layers."""

    kind = "embedding"

    def __init__(
        self,
        noise: nn.Module,
        noise_channels: int,
        emb_channels: int,
        *,
        n_classes: int,
        vector_dim: int,
        init: Init,
    ) -> None:
        super().__init__()
        self.n_classes = n_classes
        self.noise = noise
        self.label = linear(n_classes, noise_channels, init) if n_classes else None
        self.vector = linear(vector_dim, noise_channels, init, False) if vector_dim else None
        self.dense0 = linear(noise_channels, emb_channels, init)
        self.dense1 = linear(emb_channels, emb_channels, init)

    def forward(self, c_noise: Tensor, cond: Tensor | None, vector: Tensor | None) -> Tensor:
        """[N], [N] or None, [N, V] or None -> [N, E]."""
        dtype = self.dense0.weight.dtype
        emb = self.noise(c_noise).to(dtype)
        if self.label is not None:
            zero = emb.new_zeros(len(emb), self.n_classes)
            labels = zero if cond is None else one_hot(cond, self.n_classes, dtype)
            emb = emb + self.label(labels * math.sqrt(self.n_classes))
        if self.vector is not None and vector is not None:
            emb = emb + self.vector(vector.to(dtype))
        return F.silu(self.dense1(F.silu(self.dense0(emb))))


class LateClassEmbedding(nn.Module):
    """ADM: two dense layers on the noise, then the class is added."""

    kind = "embedding"

    def __init__(
        self,
        noise: nn.Module,
        noise_channels: int,
        emb_channels: int,
        *,
        n_classes: int,
        vector_dim: int,
    ) -> None:
        super().__init__()
        self.n_classes = n_classes
        self.noise = noise
        self.vector = linear(vector_dim, noise_channels, zeros, False) if vector_dim else None
        self.dense0 = linear(noise_channels, emb_channels, torch_default)
        self.dense1 = linear(emb_channels, emb_channels, torch_default)
        self.label = linear(n_classes, emb_channels, _unit_normal, False) if n_classes else None

    def forward(self, c_noise: Tensor, cond: Tensor | None, vector: Tensor | None) -> Tensor:
        """[N], [N] or None, [N, V] or None -> [N, E]."""
        dtype = self.dense0.weight.dtype
        emb = self.noise(c_noise).to(dtype)
        if self.vector is not None and vector is not None:
            emb = emb + self.vector(vector.to(dtype))
        emb = self.dense1(F.silu(self.dense0(emb)))
        if self.label is not None and cond is not None:
            emb = emb + self.label(one_hot(cond, self.n_classes, dtype))
        return F.silu(emb)


def _unit_normal(layer: nn.Conv2d | nn.Linear) -> None:
    nn.init.normal_(layer.weight)  # a class is one column, whatever their number
