"""The U-Nets once more, as plainly as torch says them: NCHW, one operation after another.

What the networks are held against: their numbers to rounding, their speed by
`python -m tests.measure.step_speed`. Resampling is the depthwise filter it stands for, attention
a softmax of products, dropout and norms are torch's own.
"""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from backbones.blocks import ResidualBlock, SelfAttention
from backbones.unet import ImagePyramid, UNet

TAPS = {"box": [1.0, 1.0], "binomial": [1.0, 3.0, 3.0, 1.0]}


class PlainUNet(nn.Module):
    """A copy of an ADM, DDPM++ or NCSN++, weights and all, that computes the same plainly."""

    def __init__(self, net: UNet) -> None:
        super().__init__()
        self.net = copy.deepcopy(net).to(memory_format=torch.contiguous_format)
        self.c_noise_range = net.c_noise_range
        self.inputs = net.inputs

    def forward(self, x: Tensor, c_noise: Tensor, cond: Tensor | None = None) -> Tensor:
        """[N, C, H, W] -> [N, C_out, H, W]."""
        net = self.net
        emb = net.embedding(c_noise, cond, None)
        image, skips = x, []
        for module in net.encoder.values():
            if isinstance(module, ImagePyramid):
                smaller = _down(F.conv2d(image, module.conv.weight, padding=2), "binomial", 0)
                assert module.conv.bias is not None
                smaller = smaller + module.conv.bias[:, None, None]
                image = x = (skips.pop() + smaller) * math.sqrt(0.5)
            else:
                x = _block(module, x, emb) if isinstance(module, ResidualBlock) else module(x)
            skips.append(x)
        for name, module in net.decoder.items():
            assert isinstance(module, ResidualBlock)
            x = torch.cat([x, skips.pop()], 1) if "_block" in name else x
            x = _block(module, x, emb)
        return net.head.conv(F.silu(net.head.norm(x)))


def _block(block: ResidualBlock, x: Tensor, emb: Tensor) -> Tensor:
    style = block.style
    h = block.conv0(_resampled(F.silu(block.norm0(x)), block))
    condition = block.affine(emb)[:, :, None, None]
    if style.scale_shift:
        scale, shift = condition.chunk(2, dim=1)
        h = F.silu(block.norm1(h) * (1 + scale) + shift)
    else:
        h = F.silu(block.norm1(h + condition))
    h = block.conv1(F.dropout(h, block.dropout, block.training))
    skip = _resampled(x, block)
    skip = skip if block.skip is None else block.skip(skip)
    h = (h + skip) * style.skip_scale
    if block.attention is not None:
        h = (h + _attention(block.attention, h)) * style.skip_scale
    return h


def _attention(attention: SelfAttention, x: Tensor) -> Tensor:
    n, c, height, width = x.shape
    tokens = attention.norm(x).flatten(2)  # [N, C, pixels]
    qkv = F.conv1d(tokens, attention.qkv.weight[:, :, None], attention.qkv.bias)
    q, k, v = qkv.view(n, 3, attention.heads, c // attention.heads, -1).unbind(1)
    weights = torch.einsum("nhcq,nhck->nhqk", q, k / math.sqrt(q.shape[2])).softmax(-1)
    mixed = torch.einsum("nhqk,nhck->nhcq", weights, v).reshape(n, c, -1)
    out = F.conv1d(mixed, attention.out.weight[:, :, None], attention.out.bias)
    return out.view(n, c, height, width)


def _resampled(x: Tensor, block: ResidualBlock) -> Tensor:
    kernel = block.style.filter
    if block.resample == "up":
        pad = (len(TAPS[kernel]) - 1) // 2
        weight = 4 * _depthwise(kernel, x)
        return F.conv_transpose2d(x, weight, stride=2, padding=pad, groups=x.shape[1])
    if block.resample == "down":
        return _down(x, kernel, (len(TAPS[kernel]) - 1) // 2)
    return x


def _down(x: Tensor, kernel: str, padding: int) -> Tensor:
    return F.conv2d(x, _depthwise(kernel, x), stride=2, padding=padding, groups=x.shape[1])


def _depthwise(kernel: str, x: Tensor) -> Tensor:
    taps = torch.tensor(TAPS[kernel], dtype=x.dtype)
    taps = taps / taps.sum()
    return taps.outer(taps).expand(x.shape[1], 1, -1, -1)
