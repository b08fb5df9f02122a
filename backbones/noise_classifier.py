"""A classifier of pictures at any noise level: the encoder half of ADM, pooled to one logit.

Dhariwal and Nichol 2021 (arXiv 2105.05233, section 4) guide with such a network. Ours: the middle
blocks are kept, and features are averaged over all pixels rather than pooled by attention.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from backbones.adm import Args, design
from backbones.backbone import level_divisor, size_text
from backbones.blocks import group_norm, linear, zeros
from backbones.inputs import Inputs
from backbones.unet import build_encoder, encode, residual_block


class NoiseClassifier(nn.Module):
    """logit(x, c_noise); no picture's depends on another's. The first logits are 0.

    `c_noise_range` is what its noise embedding resolves, as of a Backbone. Built for one size.
    """

    def __init__(self, inputs: Inputs, args: Args) -> None:
        """ValueError for volumes, or where the multipliers do not fit the sides."""
        super().__init__()
        if len(inputs.spatial) != 2:
            raise ValueError(f"the classifier is for pictures, not {size_text(inputs.spatial)}")
        level_divisor(inputs.spatial, len(args.multipliers))
        adm = design(args)
        self.inputs, self.c_noise_range = inputs, adm.c_noise_range
        self.embedding = adm.embedding(args, inputs)
        self.encoder, outputs = build_encoder(adm, inputs, args)
        channels = outputs[-1]
        self.middle0 = residual_block(adm, args, channels, channels, attention=True)
        self.middle1 = residual_block(adm, args, channels, channels)
        self.norm = group_norm(channels, adm.style.eps)
        self.logit = linear(channels, 1, zeros)

    def forward(self, x: Tensor, c_noise: Tensor) -> Tensor:
        """x [N, C, H, W], c_noise [N] -> logits [N]; ValueError for another size."""
        expected = (len(x), self.inputs.in_channels, *self.inputs.spatial)
        if x.shape != expected or c_noise.shape != expected[:1]:
            raise ValueError(
                f"the classifier was built for {expected}, with c_noise {expected[:1]}, not "
                f"{tuple(x.shape)} and {tuple(c_noise.shape)}"
            )
        emb = self.embedding(c_noise, None, None)
        x = encode(self.encoder, x, emb)[-1]
        x = self.middle1(self.middle0(x, emb), emb)
        return self.logit(F.silu(self.norm(x)).mean((2, 3))).squeeze(1)
