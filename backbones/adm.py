"""ADM: the U-Net of Dhariwal and Nichol 2021 (arXiv 2105.05233), as set up by Karras et al. 2022.

Scale-shift conditioning, attention at three resolutions in heads of 64 channels, branches and
last layer starting at zero, the class added behind the embedding's dense layers. A level too
narrow for one head of `channels_per_head` has a single head; else the number of heads is
channels // channels_per_head, lowered to the next divisor of the channels.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from backbones.backbone import Backbone, check_whole
from backbones.blocks import BlockStyle, torch_default, zeros
from backbones.embeddings import POSITIONAL_RANGE, LateClassEmbedding, Positional
from backbones.unet import Design, UNet, UNetArgs


@dataclass(frozen=True, kw_only=True)
class Args(UNetArgs):
    """The authors' configuration for ImageNet at 64 pixels."""

    width: int = 192
    multipliers: tuple[int, ...] = (1, 2, 3, 4)
    blocks: int = 3
    attention: tuple[int, ...] = (32, 16, 8)
    channels_per_head: int = 64

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole(1, channels_per_head=self.channels_per_head)


def _embedding(args: UNetArgs, n_classes: int) -> nn.Module:
    return LateClassEmbedding(
        Positional(args.width, endpoint=False),
        args.width,
        4 * args.width,
        n_classes=n_classes,
        augment_dim=args.augment_dim,
    )


def build(
    *, resolution: int, in_channels: int, out_channels: int, n_classes: int, args: Args
) -> Backbone:
    """A new ADM; ValueError if the multipliers do not fit the resolution."""
    design = Design(
        style=BlockStyle(
            scale_shift=True,
            skip_scale=1.0,
            eps=1e-5,
            filter="box",
            project_resampled=False,
            channels_per_head=args.channels_per_head,
            init=torch_default,
            init_last=zeros,
            init_attention=torch_default,
        ),
        embedding=_embedding,
        c_noise_range=POSITIONAL_RANGE,
        stem_at_first_width=True,
        image_pyramid=False,
        attention_in_every_up_block=True,
    )
    return UNet(
        design,
        args,
        resolution=resolution,
        in_channels=in_channels,
        out_channels=out_channels,
        n_classes=n_classes,
    )
