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
from backbones.inputs import Inputs
from backbones.sizes import Size, learning_rates, widths
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


SIZES = {
    "smoke": Size(
        args={"multipliers": (1, 2), "attention": (8,), "blocks": 1, "channels_per_head": 16},
        widths=widths(6, 8, 12),
        lr=learning_rates(2e-3),
    ),
    "laptop": Size(
        args={"multipliers": (1, 2, 2), "attention": (8,), "blocks": 1, "channels_per_head": 16},
        widths=widths(12, 16, 24),
        lr=learning_rates(1e-3, 3e-3),
    ),
    "gpu": Size(
        args={"multipliers": (1, 2, 3, 4), "blocks": 2, "attention": (32, 16, 8)},
        widths=widths(64, 96, 128),
        lr=learning_rates(2e-4),
    ),
    "paper": Size(
        args={"multipliers": (1, 2, 3, 4)}, widths=widths(128, 192, 256), lr=learning_rates(1e-4)
    ),
}


def _embedding(args: UNetArgs, inputs: Inputs) -> nn.Module:
    return LateClassEmbedding(
        Positional(args.width, endpoint=False),
        args.width,
        4 * args.width,
        n_classes=inputs.n_classes,
        vector_dim=inputs.vector_dim,
    )


def design(args: Args) -> Design:
    """What tells ADM from the others."""
    return Design(
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


def build(inputs: Inputs, args: Args) -> Backbone:
    """A new ADM; ValueError if the multipliers do not fit the sides."""
    return UNet(design(args), inputs, args)
