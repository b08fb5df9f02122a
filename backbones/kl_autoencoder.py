"""A small convolutional autoencoder of pictures with a Gaussian latent, as latent diffusion uses.

Rombach et al. 2022 (arXiv 2112.10752): an encoder gives mean and log-variance of each latent
pixel, a decoder the picture of a draw; each halves, or doubles, the sides `log2(factor)` times. It
is no network of a trial (it has no noise level), so it has no line in the table.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from backbones.blocks import group_norm

EPS = 1e-6  # of the group norms
LOGVAR = (-30.0, 10.0)  # log-variances are kept within


@dataclass(frozen=True, kw_only=True)
class AutoencoderArgs:
    """Sizes of an autoencoder. ValueError where they cannot be right.

    channels: of the pictures. latent_channels: of the latents. factor: picture side over latent
    side, a power of two. width: channels at full resolution, doubled with each halving up to
    `most` times that.
    """

    channels: int
    latent_channels: int = 4
    factor: int = 2
    width: int = 16
    most: int = 4

    def __post_init__(self) -> None:
        if self.factor < 2 or self.factor & (self.factor - 1):
            raise ValueError(f"factor must be a power of two from 2 on, got {self.factor}")
        for name in ("channels", "latent_channels", "width", "most"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels at each resolution, the full one first."""
        levels = self.factor.bit_length()
        return tuple(self.width * min(2**level, self.most) for level in range(levels))


class KLAutoencoder(nn.Module):
    """Pictures float32 [N, channels, H, W] to Gaussian latents and back; H, W multiples of factor.

    Weights are drawn from torch's global generator, which the caller seeds.
    """

    def __init__(self, args: AutoencoderArgs) -> None:
        super().__init__()
        self.args = args
        widths = args.widths
        down: list[nn.Module] = [nn.Conv2d(args.channels, widths[0], 3, padding=1)]
        for wide, wider in pairwise(widths):
            down += [nn.SiLU(), nn.Conv2d(wide, wider, 3, stride=2, padding=1), Residual(wider)]
        down += [group_norm(widths[-1], EPS), nn.SiLU()]
        down.append(nn.Conv2d(widths[-1], 2 * args.latent_channels, 3, padding=1))
        self.encoder = nn.Sequential(*down)
        up: list[nn.Module] = [nn.Conv2d(args.latent_channels, widths[-1], 3, padding=1)]
        for wide, narrow in pairwise(widths[::-1]):
            up += [Residual(wide), nn.Upsample(scale_factor=2, mode="nearest")]
            up.append(nn.Conv2d(wide, narrow, 3, padding=1))
        up += [Residual(widths[0]), group_norm(widths[0], EPS), nn.SiLU()]
        up.append(nn.Conv2d(widths[0], args.channels, 3, padding=1))
        self.decoder = nn.Sequential(*up)

    def moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures -> mean and log-variance [N, latent_channels, H/factor, W/factor]."""
        mean, logvar = self.encoder(x).chunk(2, dim=1)
        return mean, logvar.clamp(*LOGVAR)

    def decode(self, z: Tensor) -> Tensor:
        """Latents -> pictures, not clipped."""
        result: Tensor = self.decoder(z)
        return result


class Residual(nn.Module):
    """Two convolutions with their skip, the last silent at first."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = group_norm(channels, EPS), group_norm(channels, EPS)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(F.silu(self.norm1(x)))
        result: Tensor = x + self.conv2(F.silu(self.norm2(y)))
        return result


def kl_to_unit(mean: Tensor, logvar: Tensor) -> Tensor:
    """KL divergence of N(mean, exp logvar) from N(0, 1), summed over each picture's latent: [N]."""
    return 0.5 * (mean.square() + logvar.exp() - 1 - logvar).flatten(1).sum(1)
