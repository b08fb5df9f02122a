"""The blocks that ADM, DDPM, DDPM++ and NCSN++ are made of: one residual block in several styles.

Residual block with noise conditioning: Ho et al. 2020 (arXiv 2006.11239); BigGAN-style resampling
inside the block and skips scaled by sqrt(1/2): Song et al. 2021 (arXiv 2011.13456, appendix H);
scale-shift conditioning and heads of 64 channels: Dhariwal and Nichol 2021 (arXiv 2105.05233).
They are aligned as in Karras et al. 2022 (arXiv 2206.00364, appendix F.3 and table 7).

What is ours: rules for small widths (the most groups, or heads, that divide the channels), and
resampling by pooling and interpolation, which equals the depthwise filters and is faster.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Resample = Literal["up", "down"]
Filter = Literal["box", "binomial"]
Init = Callable[[nn.Conv2d | nn.Linear], None]


def torch_default(layer: nn.Conv2d | nn.Linear) -> None:
    """Weights and biases uniform in +-1/sqrt(fan_in): what torch has drawn already."""


def zeros(layer: nn.Conv2d | nn.Linear) -> None:
    """All zero: the layer starts as silent."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)


def xavier(gain: float = 1.0) -> Init:
    """Weights uniform in +-gain*sqrt(6/(fan_in+fan_out)), biases zero."""

    def init(layer: nn.Conv2d | nn.Linear) -> None:
        nn.init.xavier_uniform_(layer.weight, gain=gain)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)

    return init


@dataclass(frozen=True, kw_only=True)
class BlockStyle:
    """What the authors' blocks differ in."""

    scale_shift: bool  # the embedding scales and shifts the second norm; else it is added before
    skip_scale: float  # factor on the sum of a block and its skip
    eps: float  # of the group norms
    filter: Filter  # box: [1, 1]; binomial: [1, 3, 3, 1]
    project_resampled: bool  # a 1x1 convolution on every resampled skip, of equal width too
    channels_per_head: int | None  # attention heads of this many channels; None: a single head
    init: Init
    init_last: Init  # of the last layer of every branch
    init_attention: Init  # of queries, keys and values


def _divisor_at_most(limit: int, number: int) -> int:
    return next(d for d in range(max(limit, 1), 0, -1) if number % d == 0)


def group_count(channels: int) -> int:
    """Groups of a norm: min(32, channels // 4), or the next lower number that divides."""
    return _divisor_at_most(min(32, channels // 4), channels)


def head_count(channels: int, channels_per_head: int | None) -> int:
    """Heads: channels // channels_per_head, or the next lower number that divides; one at least."""
    return _divisor_at_most(channels // channels_per_head, channels) if channels_per_head else 1


def group_norm(channels: int, eps: float) -> nn.GroupNorm:
    """The group norm of all these networks."""
    return nn.GroupNorm(group_count(channels), channels, eps=eps)


def conv(in_channels: int, out_channels: int, kernel: int, init: Init) -> nn.Conv2d:
    """A convolution that keeps the size, initialised by `init`."""
    layer = nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2)
    init(layer)
    return layer


def linear(in_features: int, out_features: int, init: Init, bias: bool = True) -> nn.Linear:
    """A dense layer, initialised by `init`."""
    layer = nn.Linear(in_features, out_features, bias=bias)
    init(layer)
    return layer


def downsample(x: Tensor, kernel: Filter, padding: int = 1) -> Tensor:
    """Low-pass and keep every second pixel: [N, C, H, W] -> [N, C, H/2, W/2], zero-padded.

    [1, 3, 3, 1] is [1, 1] convolved three times, so two running means and a halving one do it.
    `padding` (binomial only) is the number of zeros the filter adds at each edge.
    """
    return F.avg_pool2d(_smooth(x, padding) if kernel == "binomial" else x, 2)


def upsample(x: Tensor, kernel: Filter) -> Tensor:
    """Double the size by inserting zeros and filtering: [N, C, H, W] -> [N, C, 2H, 2W].

    With [1, 1] that repeats every pixel; with [1, 3, 3, 1] two running means follow, zero-padded.
    """
    x = F.interpolate(x, scale_factor=2, mode="nearest")
    return _smooth(x, 1) if kernel == "binomial" else x


def _smooth(x: Tensor, padding: int) -> Tensor:
    x = F.avg_pool2d(x, 2, stride=1, padding=padding)
    return F.avg_pool2d(x, 2, stride=1)


def dropout(x: Tensor, p: float, training: bool) -> Tensor:
    """Zero a share `p` of the elements and scale up the rest; nothing unless training.

    On the CPU torch's own draws a Bernoulli number for each element, at five times the cost of
    this: 16 bits for each, and `p` to the nearest of their 65,536 steps.
    """
    if not training or p == 0 or x.device.type != "cpu":
        return F.dropout(x, p, training)
    dropped, n = min(round(p * 2**16), 2**16 - 1), x.numel()
    with torch.no_grad():
        words = torch.empty(-(-n // 4), dtype=torch.int64).random_(-(2**63), None)
        mask = torch.empty_like(x, dtype=torch.promote_types(x.dtype, torch.float32))
        mask.as_strided((n,), (1,)).copy_(words.view(torch.int16)[:n])  # in the layout of x
        mask.ge_(dropped - 2**15).mul_(2**16 / (2**16 - dropped))
    return x * mask.to(x.dtype)


class SelfAttention(nn.Module):
    """Norm, self-attention over all pixels, projection; the branch without its skip."""

    def __init__(self, channels: int, style: BlockStyle) -> None:
        super().__init__()
        self.heads = head_count(channels, style.channels_per_head)
        self.norm = group_norm(channels, style.eps)
        self.qkv = linear(channels, 3 * channels, style.init_attention)
        self.out = linear(channels, channels, style.init_last)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> the same shape."""
        n, c, h, w = x.shape
        tokens = self.norm(x).flatten(2).transpose(1, 2)  # [N, HW, C]
        qkv = self.qkv(tokens).view(n, h * w, 3, self.heads, c // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # each [N, heads, HW, C/heads]
        mixed = F.scaled_dot_product_attention(q, k, v)
        tokens = self.out(mixed.transpose(1, 2).reshape(n, h * w, c))
        return tokens.transpose(1, 2).reshape(n, c, h, w)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions conditioned on the embedding, a skip, and attention if asked for."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        emb_channels: int,
        style: BlockStyle,
        *,
        dropout: float,
        attention: bool = False,
        resample: Resample | None = None,
    ) -> None:
        super().__init__()
        self.kind = resample or "residual"
        self.style = style
        self.resample = resample
        self.dropout = dropout
        self.norm0 = group_norm(in_channels, style.eps)
        self.conv0 = conv(in_channels, out_channels, 3, style.init)
        self.affine = linear(emb_channels, out_channels * (1 + style.scale_shift), style.init)
        self.norm1 = group_norm(out_channels, style.eps)
        self.conv1 = conv(out_channels, out_channels, 3, style.init_last)
        projected = in_channels != out_channels or (resample and style.project_resampled)
        self.skip = conv(in_channels, out_channels, 1, style.init) if projected else None
        self.attention = SelfAttention(out_channels, style) if attention else None

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        """x [N, C, H, W], emb [N, E] -> [N, C_out, H', W'], halved or doubled if resampling."""
        style = self.style
        h = self.conv0(self._resampled(F.silu(self.norm0(x))))
        condition = self.affine(emb)[:, :, None, None]
        if style.scale_shift:
            scale, shift = condition.chunk(2, dim=1)
            h = torch.addcmul(shift, self.norm1(h), scale + 1)
        else:
            h = self.norm1(h + condition)
        h = self.conv1(dropout(F.silu(h), self.dropout, self.training))
        h = h + self._skipped(x)
        h = h * style.skip_scale if style.skip_scale != 1 else h
        if self.attention is not None:
            h = h + self.attention(h)
            h = h * style.skip_scale if style.skip_scale != 1 else h
        return h

    def _skipped(self, x: Tensor) -> Tensor:
        if self.skip is None:
            return self._resampled(x)
        if self.resample == "up" and self.style.filter == "box":
            return self._resampled(self.skip(x))  # the same numbers from a quarter of the pixels
        return self.skip(self._resampled(x))

    def _resampled(self, x: Tensor) -> Tensor:
        if self.resample == "up":
            return upsample(x, self.style.filter)
        return downsample(x, self.style.filter) if self.resample == "down" else x
