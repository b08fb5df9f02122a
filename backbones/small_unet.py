"""The small U-Net of the birds workload, after Béres 2022, "Denoising diffusion implicit models".

https://keras.io/examples/generative/ddim/: the noise level enters once, as a sinusoidal embedding
spread over the image and concatenated with it, and every block hands a skip to the decoder, so
that no block needs the noise level again. Widths 32/64/96/128, two blocks a level, no attention.

What is ours: group norm without learned scales in place of batch norm (batch statistics would tie
an image's output to its neighbours' noise levels, and to the micro-batch); a class, if there is
one, and numbers enter beside the noise level; attention at chosen resolutions, off by default.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from backbones.backbone import (
    Backbone,
    check_dropout,
    check_whole,
    level_divisor,
    whole_numbers,
)
from backbones.blocks import (
    BlockStyle,
    SelfAttention,
    conv,
    dropout,
    group_count,
    torch_default,
    zeros,
)
from backbones.embeddings import SINUSOIDAL_RANGE, Sinusoidal, one_hot
from backbones.inputs import Inputs
from backbones.sizes import Size, learning_rates, widths


@dataclass(frozen=True, kw_only=True)
class Args:
    """The authors' configuration. `width` scales the default widths, in ratio 1:2:3:4.

    `widths`, if given, are the channels of each level, finest first, in place of `width`'s four.
    `attention`: resolutions in pixels (of an oblong image, its smaller side) at which blocks have
    self-attention in heads of `channels_per_head`. `embedding_dims`: size of the noise embedding,
    even.
    """

    width: int = 32
    widths: tuple[int, ...] | None = None
    blocks: int = 2
    attention: tuple[int, ...] = ()
    channels_per_head: int = 32
    embedding_dims: int = 32
    dropout: float = 0.0

    def __post_init__(self) -> None:
        attention = whole_numbers("attention", self.attention, empty=True)
        object.__setattr__(self, "attention", attention)
        if self.widths is not None:
            object.__setattr__(self, "widths", whole_numbers("widths", self.widths))
        check_whole(
            1, width=self.width, blocks=self.blocks, channels_per_head=self.channels_per_head
        )
        check_whole(2, embedding_dims=self.embedding_dims)
        check_dropout(self.dropout)
        if self.embedding_dims % 2:
            raise ValueError(
                f"embedding_dims must be even (half of them are sines), not {self.embedding_dims}"
            )

    @property
    def level_widths(self) -> tuple[int, ...]:
        """Channels of each level, finest first."""
        if self.widths is not None:
            return self.widths
        return tuple(self.width * ratio for ratio in (1, 2, 3, 4))


SIZES = {
    "smoke": Size(args={"blocks": 1}, widths=widths(6, 8, 12), lr=learning_rates(2e-3)),
    "laptop": Size(args={"blocks": 1}, widths=widths(12, 16, 24), lr=learning_rates(1e-3, 3e-3)),
    "gpu": Size(args={}, widths=widths(32, 64, 96), lr=learning_rates(5e-4)),
    "paper": Size(args={}, widths=widths(32, 64, 96), lr=learning_rates(3e-4)),
}


class InputEmbedding(nn.Module):
    """1x1 convolution of the image, beside noise level, class and numbers as constant planes."""

    kind = "stem"

    def __init__(self, inputs: Inputs, width: int, dims: int) -> None:
        super().__init__()
        n_classes = self.n_classes = inputs.n_classes
        vector_dim = self.vector_dim = inputs.vector_dim
        self.conv = conv(inputs.in_channels, width, 1, torch_default)
        self.noise = Sinusoidal(dims)
        self.label = nn.Linear(n_classes, dims, bias=False) if n_classes else None
        if self.label is not None:
            nn.init.normal_(self.label.weight)
        self.vector = nn.Linear(vector_dim, dims, bias=False) if vector_dim else None
        self.out_channels = width + dims * (1 + bool(n_classes) + bool(vector_dim))

    def forward(
        self, x: Tensor, c_noise: Tensor, cond: Tensor | None, vector: Tensor | None
    ) -> Tensor:
        """[N, C, H, W], [N], [N] or None, [N, V] or None -> [N, out_channels, H, W]."""
        n, _, height, width = x.shape
        planes = [self.noise(c_noise).to(x.dtype)]
        if self.label is not None:
            zero = planes[0].new_zeros(n, self.n_classes)
            labels = zero if cond is None else one_hot(cond, self.n_classes, x.dtype)
            planes.append(self.label(labels))
        if self.vector is not None:
            zero = planes[0].new_zeros(n, self.vector_dim)
            planes.append(self.vector(zero if vector is None else vector.to(x.dtype)))
        spread = torch.cat(planes, dim=1)[:, :, None, None].expand(-1, -1, height, width)
        return torch.cat([self.conv(x), spread], dim=1)


class Block(nn.Module):
    """Norm, 3x3 convolution, SiLU, 3x3 convolution, added to the (projected) input."""

    kind = "residual"

    def __init__(
        self, in_channels: int, out_channels: int, dropout: float, attention: BlockStyle | None
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.groups = group_count(out_channels)
        same = in_channels == out_channels
        self.skip = None if same else conv(in_channels, out_channels, 1, torch_default)
        self.groups_in = group_count(in_channels)
        self.conv0 = conv(in_channels, out_channels, 3, torch_default)
        self.conv1 = conv(out_channels, out_channels, 3, torch_default)
        self.attention = None if attention is None else SelfAttention(out_channels, attention)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C_out, H, W]."""
        h = F.silu(self.conv0(F.group_norm(x, self.groups_in)))
        h = self.conv1(dropout(h, self.dropout, self.training))
        h = h + (x if self.skip is None else self.skip(x))
        return h if self.attention is None else h + self.attention(h)


class DownLevel(nn.ModuleList):
    """Blocks that each leave a skip, then average pooling."""

    def forward(self, x: Tensor, skips: list[Tensor]) -> Tensor:
        """[N, C, H, W] -> [N, C_out, H/2, W/2]; appends to `skips`."""
        for block in self:
            x = block(x)
            skips.append(x)
        return F.avg_pool2d(x, 2)


class UpLevel(nn.ModuleList):
    """Bilinear interpolation, then blocks that each take a skip."""

    def forward(self, x: Tensor, skips: list[Tensor]) -> Tensor:
        """[N, C, H, W] -> [N, C_out, 2H, 2W]; takes from the end of `skips`."""
        x = F.interpolate(x, scale_factor=2, mode="bilinear")
        for block in self:
            x = block(torch.cat([x, skips.pop()], dim=1))
        return x


class SmallUNet(Backbone):
    """Residual blocks, average pooling down, bilinear interpolation up, a skip from every block."""

    def __init__(self, inputs: Inputs, args: Args) -> None:
        channels_of = args.level_widths
        super().__init__(
            inputs,
            c_noise_range=SINUSOIDAL_RANGE,
            divisor=level_divisor(inputs.spatial, len(channels_of)),
        )
        resolution = min(inputs.spatial)
        style = BlockStyle(
            scale_shift=False,
            skip_scale=1.0,
            eps=1e-5,
            filter="box",
            project_resampled=False,
            channels_per_head=args.channels_per_head,
            init=torch_default,
            init_last=zeros,
            init_attention=torch_default,
        )

        def block(c_in: int, c_out: int, side: int) -> Block:
            return Block(c_in, c_out, args.dropout, style if side in args.attention else None)

        self.stem = InputEmbedding(inputs, channels_of[0], args.embedding_dims)
        self.encoder = nn.ModuleList()
        self.decoder = nn.ModuleList()
        self.middle = nn.ModuleList()
        channels, skips = self.stem.out_channels, []
        for level, width in enumerate(channels_of[:-1]):
            blocks = DownLevel()
            for _ in range(args.blocks):
                blocks.append(block(channels, width, resolution >> level))
                channels = width
                skips.append(channels)
            self.encoder.append(blocks)
        for _ in range(args.blocks):
            self.middle.append(block(channels, channels_of[-1], resolution >> len(channels_of) - 1))
            channels = channels_of[-1]
        for level, width in reversed(list(enumerate(channels_of[:-1]))):
            ups = UpLevel()
            for _ in range(args.blocks):
                ups.append(block(channels + skips.pop(), width, resolution >> level))
                channels = width
            self.decoder.append(ups)
        self.head = Head(channels, inputs.out_channels)

    def forward(
        self,
        x: Tensor,
        c_noise: Tensor,
        cond: Tensor | None = None,
        vector: Tensor | None = None,
    ) -> Tensor:
        """See Backbone: [N, C, H, W] -> [N, C_out, H, W]."""
        self.check_inputs(x, c_noise, cond, vector)
        x = self.stem(x, c_noise, cond, vector)
        skips: list[Tensor] = []
        for level in self.encoder:
            x = level(x, skips)
        for block in self.middle:
            x = block(x)
        for level in self.decoder:
            x = level(x, skips)
        return self.head(x)


class Head(nn.Module):
    """The last 1x1 convolution, which starts at zero."""

    kind = "head"

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = conv(in_channels, out_channels, 1, zeros)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C_out, H, W]."""
        return self.conv(x)


def build(inputs: Inputs, args: Args) -> Backbone:
    """A new small U-Net; ValueError if the levels do not fit the sides."""
    return SmallUNet(inputs, args)
