"""DDPM++: the U-Net of Song et al. 2021 (arXiv 2011.13456), as set up by Karras et al. 2022.

Positional noise embedding, plain encoder, box filter, skips scaled by sqrt(1/2), one attention
head, last layers starting at 1e-5 of their usual size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import nn

from backbones.backbone import Backbone
from backbones.blocks import BlockStyle, Filter, xavier
from backbones.embeddings import POSITIONAL_RANGE, JoinedEmbedding, Positional
from backbones.inputs import Inputs
from backbones.sizes import Size, learning_rates, widths
from backbones.unet import Design, UNet, UNetArgs


@dataclass(frozen=True, kw_only=True)
class Args(UNetArgs):
    """The authors' configuration for CIFAR-10 at 32 pixels; at 64, multipliers (1, 2, 2, 2)."""


SIZES = {
    "smoke": Size(
        args={"multipliers": (1, 2), "attention": (8,), "blocks": 1},
        widths=widths(6, 8, 12),
        lr=learning_rates(2e-3),
    ),
    "laptop": Size(
        args={"multipliers": (1, 2, 2), "attention": (8,), "blocks": 1},
        widths=widths(12, 16, 24),
        lr=learning_rates(1e-3, 3e-3),
    ),
    "gpu": Size(
        args={"multipliers": (1, 2, 2, 2), "blocks": 3, "attention": (16,)},
        widths=widths(64, 96, 128),
        lr=learning_rates(4e-4),
    ),
    "paper": Size(
        args={"multipliers": (1, 2, 2, 2)}, widths=widths(96, 128, 192), lr=learning_rates(2e-4)
    ),
}


def song_style(kernel: Filter) -> BlockStyle:
    """The residual block that DDPM++ and NCSN++ share, but for the resampling filter."""
    return BlockStyle(
        scale_shift=False,
        skip_scale=math.sqrt(0.5),
        eps=1e-6,
        filter=kernel,
        project_resampled=True,
        channels_per_head=None,
        init=xavier(),
        init_last=xavier(1e-5),
        init_attention=xavier(math.sqrt(0.2)),
    )


def _embedding(args: UNetArgs, inputs: Inputs) -> nn.Module:
    return JoinedEmbedding(
        Positional(args.width, endpoint=True),
        args.width,
        4 * args.width,
        n_classes=inputs.n_classes,
        vector_dim=inputs.vector_dim,
        init=xavier(),
    )


def build(inputs: Inputs, args: Args) -> Backbone:
    """A new DDPM++; ValueError if the multipliers do not fit the sides."""
    design = Design(
        style=song_style("box"),
        embedding=_embedding,
        c_noise_range=POSITIONAL_RANGE,
        stem_at_first_width=False,
        image_pyramid=False,
        attention_in_every_up_block=False,
    )
    return UNet(design, inputs, args)
