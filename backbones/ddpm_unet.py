"""The U-Net of DDPM: Ho et al. 2020 (arXiv 2006.11239), appendix B, as Fast-DDPM uses it at 256 px.

The time step enters every residual block through a sinusoidal embedding and two dense layers; one
head of attention follows each block at chosen resolutions and stands in the middle; levels are
joined by a strided convolution and by repeated pixels with a convolution. Last layers of branches
start at zero. A class or numbers of a case, if there are any, join the time embedding.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from backbones.backbone import Backbone
from backbones.blocks import BlockStyle, xavier, zeros
from backbones.embeddings import POSITIONAL_RANGE, JoinedEmbedding, Positional
from backbones.inputs import Inputs
from backbones.sizes import Size, learning_rates, widths
from backbones.unet import Design, UNet, UNetArgs


@dataclass(frozen=True, kw_only=True)
class Args(UNetArgs):
    """The configuration published for 256 pixels, which Fast-DDPM took over."""

    multipliers: tuple[int, ...] = (1, 1, 2, 2, 4, 4)
    blocks: int = 2
    dropout: float = 0.0


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
        args={"multipliers": (1, 2, 2, 2), "attention": (16,), "blocks": 3},
        widths=widths(64, 96, 128),
        lr=learning_rates(4e-4),
    ),
    "paper": Size(args={}, widths=widths(96, 128, 192), lr=learning_rates(2e-4)),
}


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
    """A new DDPM U-Net; ValueError if the multipliers do not fit the sides."""
    design = Design(
        style=BlockStyle(
            scale_shift=False,
            skip_scale=1.0,
            eps=1e-6,
            filter="box",
            project_resampled=False,
            channels_per_head=None,
            init=xavier(),
            init_last=zeros,
            init_attention=xavier(),
        ),
        embedding=_embedding,
        c_noise_range=POSITIONAL_RANGE,
        stem_at_first_width=False,
        image_pyramid=False,
        attention_in_every_up_block=True,
        strided=True,
    )
    return UNet(design, inputs, args)
