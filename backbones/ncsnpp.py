"""NCSN++: the U-Net of Song et al. 2021 (arXiv 2011.13456), as set up by Karras et al. 2022.

DDPM++ with random Fourier features of twice the width for the noise, the [1, 3, 3, 1] filter and
a residual encoder: a shrinking copy of the image joins the features at every level.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from backbones.backbone import Backbone
from backbones.blocks import xavier
from backbones.ddpmpp import SIZES as DDPMPP_SIZES
from backbones.ddpmpp import song_style
from backbones.embeddings import FOURIER_RANGE, Fourier, JoinedEmbedding
from backbones.inputs import Inputs
from backbones.unet import Design, UNet, UNetArgs


@dataclass(frozen=True, kw_only=True)
class Args(UNetArgs):
    """The authors' configuration for CIFAR-10 at 32 pixels; at 64, multipliers (1, 2, 2, 2)."""


SIZES = DDPMPP_SIZES  # the same arguments at every scale: the authors give both the same widths


def _embedding(args: UNetArgs, inputs: Inputs) -> nn.Module:
    return JoinedEmbedding(
        Fourier(2 * args.width),
        2 * args.width,
        4 * args.width,
        n_classes=inputs.n_classes,
        vector_dim=inputs.vector_dim,
        init=xavier(),
    )


def build(inputs: Inputs, args: Args) -> Backbone:
    """A new NCSN++; ValueError if the multipliers do not fit the sides."""
    design = Design(
        style=song_style("binomial"),
        embedding=_embedding,
        c_noise_range=FOURIER_RANGE,
        stem_at_first_width=False,
        image_pyramid=True,
        attention_in_every_up_block=False,
    )
    return UNet(design, inputs, args)
