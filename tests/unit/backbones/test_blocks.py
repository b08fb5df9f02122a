"""The shared blocks against slow loops, explicit filters and closed forms."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from backbones.blocks import (
    Filter,
    ResidualBlock,
    SelfAttention,
    conv,
    downsample,
    dropout,
    group_count,
    head_count,
    linear,
    torch_default,
    upsample,
    xavier,
    zeros,
)
from backbones.ddpmpp import song_style
from backbones.unet import ImagePyramid

TAPS: dict[Filter, list[float]] = {"box": [1.0, 1.0], "binomial": [1.0, 3.0, 3.0, 1.0]}


def _depthwise(kernel: Filter, channels: int) -> Tensor:
    taps = torch.tensor(TAPS[kernel], dtype=torch.float64)
    taps = taps / taps.sum()
    return taps.outer(taps).expand(channels, 1, -1, -1)


def _images(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("kernel", TAPS)
def test_downsampling_is_the_depthwise_filter_with_stride_two(kernel: Filter) -> None:
    x = _images(2, 3, 8, 6)
    pad = (len(TAPS[kernel]) - 1) // 2
    expected = F.conv2d(x, _depthwise(kernel, 3), stride=2, padding=pad, groups=3)
    torch.testing.assert_close(downsample(x, kernel), expected)


@pytest.mark.parametrize("kernel", TAPS)
def test_upsampling_is_the_transposed_depthwise_filter(kernel: Filter) -> None:
    x = _images(2, 3, 4, 6)
    pad = (len(TAPS[kernel]) - 1) // 2
    filters = 4 * _depthwise(kernel, 3)  # zeros between the pixels take three quarters
    expected = F.conv_transpose2d(x, filters, stride=2, padding=pad, groups=3)
    torch.testing.assert_close(upsample(x, kernel), expected)


def test_the_pyramid_is_a_padded_convolution_then_the_bare_filter() -> None:
    pyramid = ImagePyramid(2, 3, "binomial", torch_default).double()
    x = _images(1, 2, 8, 8)
    inner = F.conv2d(x, pyramid.conv.weight, padding=2)
    inner = F.conv2d(inner, _depthwise("binomial", 3), stride=2, groups=3)
    assert pyramid.conv.bias is not None
    torch.testing.assert_close(pyramid(x), inner + pyramid.conv.bias[:, None, None])


@pytest.mark.parametrize("channels_per_head", [None, 4])
def test_attention_is_softmax_of_scaled_products_pixel_by_pixel(
    channels_per_head: int | None,
) -> None:
    style = replace(
        song_style("box"),
        channels_per_head=channels_per_head,
        init_last=xavier(),
        init_attention=xavier(),
    )
    torch.manual_seed(0)
    attention = SelfAttention(8, style).double()
    x = _images(2, 8, 3, 2)
    heads = 1 if channels_per_head is None else 2
    size = 8 // heads
    tokens = attention.norm(x).flatten(2)  # [N, C, pixels]
    q, k, v = attention.qkv(tokens.transpose(1, 2)).transpose(1, 2).split(8, dim=1)
    mixed = torch.zeros_like(tokens)
    for n in range(2):
        for h in range(heads):
            part = slice(h * size, (h + 1) * size)
            for i in range(6):
                scores = [q[n, part, i] @ k[n, part, j] / math.sqrt(size) for j in range(6)]
                weights = torch.stack(scores).softmax(dim=0)
                mixed[n, part, i] = v[n, part] @ weights
    expected = attention.out(mixed.transpose(1, 2)).transpose(1, 2).reshape(x.shape)
    torch.testing.assert_close(attention(x), expected)


def test_group_and_head_counts() -> None:
    assert [group_count(c) for c in (1, 4, 16, 128, 192, 384)] == [1, 1, 4, 32, 32, 32]
    assert group_count(144) == 24  # 32 does not divide 144
    assert head_count(192, 64) == 3
    assert head_count(16, 64) == 1  # too narrow for one of 64
    assert head_count(160, 64) == 2
    assert head_count(200, 64) == 2  # three do not divide 200
    assert head_count(256, None) == 1


def test_initialisations_have_the_bounds_of_their_fans() -> None:
    torch.manual_seed(0)
    layer = conv(8, 24, 3, xavier(0.5))
    bound = 0.5 * math.sqrt(6 / (9 * 8 + 9 * 24))
    assert 0.95 * bound < float(layer.weight.detach().abs().max()) <= bound  # 1728 uniform draws
    assert layer.bias is not None
    assert not layer.bias.any()
    dense = linear(100, 50, torch_default)
    assert 0.095 < float(dense.weight.detach().abs().max()) <= 0.1  # 1 / sqrt(100)
    assert float(dense.bias.detach().abs().max()) <= 0.1
    silent = linear(4, 4, zeros)
    assert not any(p.any() for p in silent.parameters())


def test_dropout_keeps_the_mean_and_the_share() -> None:
    torch.manual_seed(0)
    x = torch.ones(100, 1000, requires_grad=True)
    y = dropout(x, 0.25, True)
    zero_share = float((y == 0).float().mean())
    assert abs(zero_share - 0.25) < 0.006  # four standard errors of 100,000 draws
    assert torch.equal(y[y != 0], torch.full_like(y[y != 0], 1 / 0.75))
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert torch.equal(gradient, y.detach())  # the gradient passes where the value did
    assert dropout(x, 0.25, False) is x


def test_a_block_starts_as_its_scaled_skip() -> None:
    torch.manual_seed(0)
    block = ResidualBlock(8, 8, 16, song_style("box"), dropout=0.0)
    x, emb = torch.randn(2, 8, 4, 4), torch.randn(2, 16)
    # the branch starts at 1e-5 of its size
    torch.testing.assert_close(block(x, emb), x * math.sqrt(0.5), atol=1e-3, rtol=0)


@pytest.mark.parametrize("kernel", TAPS)
def test_a_projected_skip_is_resampled_then_projected(kernel: Filter) -> None:
    torch.manual_seed(0)
    block = ResidualBlock(4, 4, 8, song_style(kernel), dropout=0.0, resample="up").double()
    with torch.no_grad():
        for parameter in block.conv1.parameters():
            parameter.zero_()
    x = _images(1, 4, 4, 4)
    assert block.skip is not None
    expected = block.skip(upsample(x, kernel)) * math.sqrt(0.5)
    torch.testing.assert_close(block(x, torch.zeros(1, 8, dtype=torch.float64)), expected)


def test_scale_shift_conditioning_is_an_affine_map_of_the_second_norm() -> None:
    style = replace(song_style("box"), scale_shift=True, skip_scale=1.0, init_last=torch_default)
    torch.manual_seed(0)
    block = ResidualBlock(4, 4, 6, style, dropout=0.0).double()
    x, emb = _images(2, 4, 4, 4), _images(2, 6)
    scale, shift = block.affine(emb)[:, :4], block.affine(emb)[:, 4:]
    h = block.norm1(block.conv0(F.silu(block.norm0(x))))
    h = h * (1 + scale[:, :, None, None]) + shift[:, :, None, None]
    torch.testing.assert_close(block(x, emb), x + block.conv1(F.silu(h)))


def test_attention_joins_the_block_as_a_second_scaled_branch() -> None:
    style = replace(song_style("box"), init_last=xavier())
    torch.manual_seed(0)
    block = ResidualBlock(8, 8, 4, style, dropout=0.0, attention=True).double()
    x, emb = _images(2, 8, 4, 4), _images(2, 4)
    attention = block.attention
    assert attention is not None
    block.attention = None
    h = block(x, emb)
    block.attention = attention
    torch.testing.assert_close(block(x, emb), (h + attention(h)) * math.sqrt(0.5))


def test_queries_start_smaller_in_the_song_networks() -> None:
    torch.manual_seed(0)
    attention = SelfAttention(64, song_style("box"))
    bound = math.sqrt(0.2) * math.sqrt(6 / (64 + 3 * 64))
    assert 0.99 * bound < float(attention.qkv.weight.detach().abs().max()) <= bound  # 12288 draws
