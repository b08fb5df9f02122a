"""The U-Net of PatchDDM for pictures and volumes: skips that are averaged, and no attention.

Bieder et al. 2023, "Memory-Efficient 3D Denoising Diffusion Models for Medical Image Processing"
(PatchDDM, arXiv 2303.15288): ADM's residual blocks with the embedding added, a strided convolution
down, repeated voxels and a convolution up. In each block of the decoder the encoder's output of
the same place joins by (h + skip) / 2, which makes no block wider. Where it is averaged or added,
a block gives as many channels as the next skip has. All is convolutional: a network built for
patches runs on whole volumes whose sides are multiples of its divisor.

With one channel a group a norm takes away what the embedding adds, a number for each channel. The
published network (as many groups as `width`) has such norms at its first level, so noise level,
class and numbers enter below it; a network that had them at every level is refused.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from backbones.backbone import (
    Backbone,
    check_dropout,
    check_whole,
    level_divisor,
    size_text,
    whole_numbers,
)
from backbones.blocks import dropout, linear, torch_default
from backbones.embeddings import POSITIONAL_RANGE, LateClassEmbedding, Positional
from backbones.inputs import Inputs
from backbones.sizes import Size, learning_rates, widths

Skip = Literal["average", "concatenate", "add"]
CONVOLUTIONS = {2: nn.Conv2d, 3: nn.Conv3d}  # by spatial dimensions
EMB_MULTIPLIER = 4  # channels of the embedding, of `width`


@dataclass(frozen=True, kw_only=True)
class Args:
    """The published configuration for BraTS2020.

    multipliers: channels of each level as multiples of `width`, finest first.
    blocks: residual blocks per level; the decoder has one more.
    groups: of every norm, a divisor of `width`; 0: as many as `width`.
    skip: how the decoder takes the encoder's output: average, (h + skip) / 2; add, h + skip;
        concatenate, which needs wider blocks.
    checkpointing: keep a residual block's input alone for the backward pass, and run the block
        again there (not its last convolution): less memory, a sixth more work in training.
    """

    width: int = 29
    multipliers: tuple[int, ...] = (1, 3, 4, 4, 4, 4, 4)
    blocks: int = 2
    groups: int = 0
    skip: Skip = "average"
    dropout: float = 0.0
    checkpointing: bool = False

    def __post_init__(self) -> None:
        multipliers = whole_numbers("multipliers", self.multipliers)
        object.__setattr__(self, "multipliers", multipliers)
        check_whole(2, width=self.width)
        check_whole(1, blocks=self.blocks)
        check_whole(0, groups=self.groups)
        check_dropout(self.dropout)
        if self.width % self.norm_groups:
            raise ValueError(
                f"groups must divide width {self.width} (0: as many as width), not {self.groups}"
            )
        if self.skip not in get_args(Skip):
            raise ValueError(f"skip must be one of {', '.join(get_args(Skip))}, not {self.skip!r}")
        if not isinstance(self.checkpointing, bool):
            raise ValueError(f"checkpointing must be true or false, not {self.checkpointing!r}")
        if self.norm_groups == self.width * max(self.multipliers):
            raise ValueError(
                f"{self.norm_groups} groups leave one channel in each at every level, where norms "
                f"take the noise level away; give fewer groups (a divisor of {self.width})"
            )

    @property
    def norm_groups(self) -> int:
        """Groups of every norm."""
        return self.groups or self.width


# The paper's learning rate is the authors'; the others are those of the other U-Nets at that scale,
# not tuned for this network.
SIZES = {
    "smoke": Size(
        args={"multipliers": (1, 2), "blocks": 1, "groups": 2},
        widths=widths(2, 4, 6),
        lr=learning_rates(2e-3),
    ),
    "laptop": Size(
        args={"multipliers": (1, 2, 2), "blocks": 1, "groups": 4},
        widths=widths(4, 8, 12),
        lr=learning_rates(1e-3, 3e-3),
    ),
    "gpu": Size(
        args={"multipliers": (1, 2, 4, 4), "blocks": 2, "groups": 8},
        widths=widths(16, 24, 32),
        lr=learning_rates(4e-4),
    ),
    "paper": Size(args={}, widths=widths(20, 29, 40), lr=learning_rates(1e-5)),
}


@dataclass(frozen=True)
class Layers:
    """The layers of a network of so many spatial dimensions."""

    dims: int
    groups: int

    def conv(self, c_in: int, c_out: int, kernel: int = 3, stride: int = 1) -> nn.Module:
        """A convolution that keeps the sides, or divides them by `stride`."""
        return CONVOLUTIONS[self.dims](c_in, c_out, kernel, stride=stride, padding=kernel // 2)

    def norm(self, channels: int) -> nn.GroupNorm:
        """A group norm."""
        return nn.GroupNorm(self.groups, channels, eps=1e-5)


class EmbeddedBlock(nn.Module):
    """Two convolutions with the embedding added in between, and a shortcut; starts as the latter.

    Shapes: x [N, C, *spatial], emb [N, E] -> [N, C_out, *spatial].
    """

    kind = "residual"

    def __init__(
        self, layers: Layers, c_in: int, c_out: int, emb_channels: int, dropout: float
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.norm0 = layers.norm(c_in)
        self.conv0 = layers.conv(c_in, c_out)
        self.affine = linear(emb_channels, c_out, torch_default)
        self.norm1 = layers.norm(c_out)
        self.conv1 = layers.conv(c_out, c_out)
        for parameter in self.conv1.parameters():
            nn.init.zeros_(parameter)
        self.shortcut = layers.conv(c_in, c_out, 1) if c_in != c_out else None

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        """See above."""
        h = self.conv0(F.silu(self.norm0(x)))
        h = h + self.affine(emb).unflatten(1, (-1, *[1] * (x.dim() - 2)))
        h = self.conv1(dropout(F.silu(self.norm1(h)), self.dropout, self.training))
        return h + (x if self.shortcut is None else self.shortcut(x))


class Convolution(nn.Module):
    """A convolution: the stem, one that halves the sides, or one behind their doubling."""

    def __init__(self, layers: Layers, c_in: int, c_out: int, kind: str) -> None:
        super().__init__()
        self.kind = kind  # stem, down or up
        self.conv = layers.conv(c_in, c_out, stride=2 if kind == "down" else 1)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, *spatial] -> [N, C_out, *sides], of the same, half or twice the sides."""
        if self.kind == "up":
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
        return self.conv(x)


class SilentHead(nn.Module):
    """Norm, SiLU and the last convolution, which starts at zero."""

    kind = "head"

    def __init__(self, layers: Layers, c_in: int, c_out: int) -> None:
        super().__init__()
        self.norm = layers.norm(c_in)
        self.conv = layers.conv(c_in, c_out)
        for parameter in self.conv.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, *spatial] -> [N, C_out, *spatial]."""
        return self.conv(F.silu(self.norm(x)))


class VolumeUNet(Backbone):
    """PatchDDM's U-Net in two or three dimensions."""

    def __init__(self, inputs: Inputs, args: Args) -> None:
        """ValueError where the levels do not fit the sides, or a norm would see one number."""
        levels = len(args.multipliers)
        super().__init__(
            inputs,
            c_noise_range=POSITIONAL_RANGE,
            divisor=level_divisor(inputs.spatial, levels),
            spatial_dims=(2, 3),
        )
        _check_norms(inputs, args)
        self.skip, self.checkpointing = args.skip, args.checkpointing
        layers = Layers(dims=len(inputs.spatial), groups=args.norm_groups)
        emb = EMB_MULTIPLIER * args.width
        level_widths = [args.width * multiplier for multiplier in args.multipliers]
        wider = args.skip == "concatenate"

        def block(c_in: int, c_out: int) -> EmbeddedBlock:
            return EmbeddedBlock(layers, c_in, c_out, emb, args.dropout)

        self.embedding = LateClassEmbedding(
            Positional(args.width, endpoint=False),
            args.width,
            emb,
            n_classes=inputs.n_classes,
            vector_dim=inputs.vector_dim,
        )
        self.encoder, channels = nn.ModuleDict(), args.width
        self.encoder["level0_stem"] = Convolution(layers, inputs.in_channels, channels, "stem")
        skips = [channels]
        for level, width in enumerate(level_widths):
            if level > 0:
                self.encoder[f"level{level}_down"] = Convolution(layers, channels, channels, "down")
                skips.append(channels)
            for index in range(args.blocks):
                self.encoder[f"level{level}_block{index}"] = block(channels, width)
                channels = width
                skips.append(channels)

        self.decoder = nn.ModuleDict()
        for index in range(2):
            self.decoder[f"level{levels - 1}_middle{index}"] = block(channels, channels)
        for level, width in reversed(list(enumerate(level_widths))):
            for index in range(args.blocks + 1):
                joined = channels + skips.pop() if wider else skips.pop()
                channels = width if wider or not skips else skips[-1]
                self.decoder[f"level{level}_block{index}"] = block(joined, channels)
            if level > 0:
                self.decoder[f"level{level - 1}_up"] = Convolution(layers, channels, channels, "up")
        self.head = SilentHead(layers, channels, inputs.out_channels)

    def forward(
        self,
        x: Tensor,
        c_noise: Tensor,
        cond: Tensor | None = None,
        vector: Tensor | None = None,
    ) -> Tensor:
        """See Backbone: [N, C, *spatial] -> [N, C_out, *spatial]."""
        self.check_inputs(x, c_noise, cond, vector)
        emb = self.embedding(c_noise, cond, vector)
        skips: list[Tensor] = []
        for module in self.encoder.values():
            x = self._run(module, x, emb)
            skips.append(x)
        for name, module in self.decoder.items():
            if "_block" in name:
                x = self._join(x, skips.pop())
            x = self._run(module, x, emb)
        return self.head(x)

    def _run(self, module: nn.Module, x: Tensor, emb: Tensor) -> Tensor:
        if not isinstance(module, EmbeddedBlock):
            result: Tensor = module(x)
        elif self.checkpointing and torch.is_grad_enabled():
            # dropout must draw again what it drew
            redraw = self.training and module.dropout > 0
            result = checkpoint(module, x, emb, use_reentrant=False, preserve_rng_state=redraw)
        else:
            result = module(x, emb)
        return result

    def _join(self, h: Tensor, skip: Tensor) -> Tensor:
        if self.skip == "concatenate":
            return torch.cat([h, skip], dim=1)
        return (h + skip) * 0.5 if self.skip == "average" else h + skip


def _check_norms(inputs: Inputs, args: Args) -> None:
    """ValueError where a norm's group would be one number: its output is zero, whatever comes."""
    levels = len(args.multipliers)
    finer = (args.multipliers[0], *args.multipliers)  # a level's first norm has the finer's width
    for level, (above, multiplier) in enumerate(zip(finer, args.multipliers, strict=False)):
        sides = tuple(side >> level for side in inputs.spatial)
        channels = args.width * min(above, multiplier)
        if math.prod(sides) * channels == args.norm_groups:
            raise ValueError(
                f"level {level} of {levels} has sides {size_text(sides)} and one channel in each "
                f"of {args.norm_groups} groups, so a norm sees one number; give fewer groups or "
                "levels, or larger sides"
            )


def build(inputs: Inputs, args: Args) -> Backbone:
    """A new network; ValueError if the multipliers or groups do not fit the sides."""
    return VolumeUNet(inputs, args)
