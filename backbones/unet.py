"""The U-Net that ADM, DDPM, DDPM++ and NCSN++ share; what differs between them is a Design.

Structure: Karras et al. 2022 (arXiv 2206.00364), appendix F.3 and table 7; of DDPM, Ho et al. 2020
(arXiv 2006.11239), appendix B. Every block of the
encoder leaves a skip; the decoder has one block more per level and takes one skip in each.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

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
    Filter,
    Init,
    ResidualBlock,
    conv,
    downsample,
    group_norm,
    upsample,
)
from backbones.inputs import Inputs


@dataclass(frozen=True, kw_only=True)
class UNetArgs:
    """Settings common to them; their modules give the authors' values.

    `multipliers`: channels of each level as multiples of `width`, finest first. `blocks`: residual
    blocks per level. `attention`: the resolutions in pixels at which blocks have self-attention; an
    oblong image's resolution is its smaller side, at every level. Those that are no level's have
    no effect; the middle of the network always has attention.
    """

    width: int = 128
    multipliers: tuple[int, ...] = (2, 2, 2)
    blocks: int = 4
    attention: tuple[int, ...] = (16,)
    dropout: float = 0.10

    def __post_init__(self) -> None:
        multipliers = whole_numbers("multipliers", self.multipliers)
        attention = whole_numbers("attention", self.attention, empty=True)
        object.__setattr__(self, "multipliers", multipliers)
        object.__setattr__(self, "attention", attention)
        check_whole(4, width=self.width)
        check_whole(1, blocks=self.blocks)
        check_dropout(self.dropout)
        if self.width % 2:
            raise ValueError(f"width must be even (half of it are sines), not {self.width}")


@dataclass(frozen=True, kw_only=True)
class Design:
    """What tells one architecture from the next."""

    style: BlockStyle
    embedding: Callable[[UNetArgs, Inputs], nn.Module]  # of (c_noise, cond, vector)
    c_noise_range: tuple[float, float]
    emb_multiplier: int = 4
    stem_at_first_width: bool  # the first convolution has the first level's width, else args.width
    image_pyramid: bool  # a shrinking copy of the image joins the encoder at every level
    attention_in_every_up_block: bool  # of a decoder level with attention, else in its last
    strided: bool = False  # plain convolutions between levels, not residual blocks that resample


class ImagePyramid(nn.Module):
    """Halves the image (or its last features) with a convolution, for NCSN++'s residual encoder.

    The convolution runs on the image padded for the filter too, so that the filter needs no zeros.
    """

    kind = "pyramid"

    def __init__(self, in_channels: int, out_channels: int, kernel: Filter, init: Init) -> None:
        super().__init__()
        self.filter = kernel
        self.conv = nn.Conv2d(in_channels, out_channels, 3, padding=2 if kernel != "box" else 1)
        init(self.conv)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C_out, H/2, W/2]."""
        return downsample(self.conv(x), self.filter, padding=0)


class StridedDown(nn.Module):
    """A convolution that keeps every second pixel; zeros below and to the right alone."""

    kind = "down"

    def __init__(self, channels: int, init: Init) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)
        init(self.conv)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C, H/2, W/2]."""
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class RepeatedUp(nn.Module):
    """Every pixel twice in each direction, then a convolution."""

    kind = "up"

    def __init__(self, channels: int, init: Init) -> None:
        super().__init__()
        self.conv = conv(channels, channels, 3, init)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C, 2H, 2W]."""
        return self.conv(upsample(x, "box"))


class Stem(nn.Module):
    """The first convolution."""

    kind = "stem"

    def __init__(self, in_channels: int, out_channels: int, init: Init) -> None:
        super().__init__()
        self.conv = conv(in_channels, out_channels, 3, init)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C_out, H, W]."""
        return self.conv(x)


class Head(nn.Module):
    """Norm, SiLU and the last convolution, which starts at or near zero."""

    kind = "head"

    def __init__(self, in_channels: int, out_channels: int, style: BlockStyle) -> None:
        super().__init__()
        self.norm = group_norm(in_channels, style.eps)
        self.conv = conv(in_channels, out_channels, 3, style.init_last)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C_out, H, W]."""
        return self.conv(F.silu(self.norm(x)))


def residual_block(
    design: Design, args: UNetArgs, c_in: int, c_out: int, **options: object
) -> ResidualBlock:
    """A block of this architecture; options: attention, resample."""
    emb = design.emb_multiplier * args.width
    return ResidualBlock(c_in, c_out, emb, design.style, dropout=args.dropout, **options)  # type: ignore[arg-type]


def build_encoder(
    design: Design, inputs: Inputs, args: UNetArgs
) -> tuple[nn.ModuleDict, list[int]]:
    """The blocks that go down, by names with the smaller side, and the channels of all outputs."""
    style, encoder = design.style, nn.ModuleDict()
    widths = [args.width * multiplier for multiplier in args.multipliers]
    sides = [min(inputs.spatial) >> level for level in range(len(widths))]
    channels = widths[0] if design.stem_at_first_width else args.width
    encoder[f"{sides[0]}_stem"] = Stem(inputs.in_channels, channels, style.init)
    outputs, pyramid = [channels], inputs.in_channels
    for level, (side, width) in enumerate(zip(sides, widths, strict=True)):
        if level > 0:
            encoder[f"{side}_down"] = (
                StridedDown(channels, style.init)
                if design.strided
                else residual_block(design, args, channels, channels, resample="down")
            )
            if design.image_pyramid:
                encoder[f"{side}_pyramid"] = ImagePyramid(
                    pyramid, channels, style.filter, style.init
                )
                pyramid = channels
            outputs.append(channels)
        for index in range(args.blocks):
            encoder[f"{side}_block{index}"] = residual_block(
                design, args, channels, width, attention=side in args.attention
            )
            channels = width
            outputs.append(channels)
    return encoder, outputs


def encode(encoder: nn.ModuleDict, x: Tensor, emb: Tensor) -> list[Tensor]:
    """x [N, C, H, W], emb [N, E] -> the outputs of all blocks that go down, the deepest last."""
    image = x
    outputs: list[Tensor] = []
    for module in encoder.values():
        if isinstance(module, ImagePyramid):
            image = x = (outputs.pop() + module(image)) * math.sqrt(0.5)
        else:
            x = module(x, emb) if isinstance(module, ResidualBlock) else module(x)
        outputs.append(x)
    return outputs


class UNet(Backbone):
    """ADM, DDPM, DDPM++ or NCSN++, as the design says."""

    def __init__(self, design: Design, inputs: Inputs, args: UNetArgs) -> None:
        levels = len(args.multipliers)
        super().__init__(inputs, c_noise_range=design.c_noise_range)
        self.divisor = level_divisor(inputs.spatial, levels)
        widths = [args.width * multiplier for multiplier in args.multipliers]
        sides = [min(inputs.spatial) >> level for level in range(levels)]
        block = partial(residual_block, design, args)

        self.embedding = design.embedding(args, inputs)
        self.encoder, skips = build_encoder(design, inputs, args)
        channels = skips[-1]

        # Decoder: the middle, then from the coarsest level up, one skip into every plain block.
        self.decoder = nn.ModuleDict()
        self.decoder[f"{sides[-1]}_middle0"] = block(channels, channels, attention=True)
        self.decoder[f"{sides[-1]}_middle1"] = block(channels, channels)
        for level, (side, width) in reversed(list(enumerate(zip(sides, widths, strict=True)))):
            if level < levels - 1:
                self.decoder[f"{side}_up"] = (
                    RepeatedUp(channels, design.style.init)
                    if design.strided
                    else block(channels, channels, resample="up")
                )
            for index in range(args.blocks + 1):
                attend = design.attention_in_every_up_block or index == args.blocks
                self.decoder[f"{side}_block{index}"] = block(
                    channels + skips.pop(), width, attention=attend and side in args.attention
                )
                channels = width
        assert not skips
        self.head = Head(channels, inputs.out_channels, design.style)

    def forward(
        self,
        x: Tensor,
        c_noise: Tensor,
        cond: Tensor | None = None,
        vector: Tensor | None = None,
    ) -> Tensor:
        """See Backbone: [N, C, H, W] -> [N, C_out, H, W]."""
        self.check_inputs(x, c_noise, cond, vector)
        emb = self.embedding(c_noise, cond, vector)
        skips = encode(self.encoder, x, emb)
        x = skips[-1]
        for name, module in self.decoder.items():
            if "_block" in name:
                x = torch.cat([x, skips.pop()], dim=1)
            x = module(x, emb) if isinstance(module, ResidualBlock) else module(x)
        return self.head(x)
