"""DiT: the diffusion transformer of Peebles and Xie 2023 (arXiv 2212.09748), adaLN-Zero blocks.

The image is cut into patches, each a token; a fixed position embedding is added; in every block
the noise level and the class shift, scale and gate both branches, by layers that start at zero, so
that each block starts as the identity. Initialisation as in the paper: dense layers uniform
(Xavier), embeddings normal with standard deviation 0.02, the last layer zero.

The paper's networks that learn a variance too are those with twice as many `out_channels`.
What is ours: numbers of a case enter as the class does; dropout before the last layer of the
MLPs, off by default, as the paper has none; one side may be longer than the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from backbones.backbone import Backbone, check_dropout, check_whole
from backbones.blocks import dropout, linear, xavier, zeros
from backbones.embeddings import POSITIONAL_RANGE, Positional
from backbones.inputs import Inputs
from backbones.sizes import Size, learning_rates

NOISE_WAVES = 256  # features of the noise level before its two dense layers
MLP_RATIO = 4
EPS = 1e-6  # of the layer norms


@dataclass(frozen=True, kw_only=True)
class Args:
    """The paper's DiT-S/2. DiT-B/2: hidden_size 768, heads 12; DiT-XL/2: depth 28, 1152, 16.

    `patch_size`: side of a patch in pixels, which both sides of an image must be multiples of.
    `depth`: blocks. `hidden_size`: channels of a token, a multiple of 4 (a quarter each are sines
    and cosines of its row and its column) and of `heads`.
    """

    patch_size: int = 2
    depth: int = 12
    hidden_size: int = 384
    heads: int = 6
    dropout: float = 0.0

    def __post_init__(self) -> None:
        check_whole(1, patch_size=self.patch_size, depth=self.depth, heads=self.heads)
        check_whole(4, hidden_size=self.hidden_size)
        check_dropout(self.dropout)
        for divisor, what in ((4, "sines and cosines of rows and columns"), (self.heads, "heads")):
            if self.hidden_size % divisor:
                raise ValueError(
                    f"hidden_size must be a multiple of {divisor} ({what}), not {self.hidden_size}"
                )


def _widths(**hidden_and_heads: tuple[int, int]) -> dict[str, dict[str, int]]:
    return {
        name: {"hidden_size": hidden, "heads": heads}
        for name, (hidden, heads) in hidden_and_heads.items()
    }


# Patches leave 64 to 1024 tokens. `paper` has the widths of the paper's S, B and L at B's depth;
# the others cost about what the U-Nets cost there, or less. No learning rate is tuned: `paper` has
# the paper's own 1e-4, and the smaller scales have ADM's for EDM, which is 1e-4 there, too.
SIZES = {
    "smoke": Size(
        args={"patch_size": 2, "depth": 2},
        widths=_widths(narrow=(24, 2), default=(32, 2), wide=(48, 3)),
        lr=learning_rates(2e-3),
    ),
    "laptop": Size(
        args={"patch_size": 2, "depth": 4},
        widths=_widths(narrow=(48, 3), default=(64, 4), wide=(96, 6)),
        lr=learning_rates(1e-3),
    ),
    "gpu": Size(
        args={"patch_size": 4, "depth": 12},
        widths=_widths(narrow=(256, 4), default=(384, 6), wide=(512, 8)),
        lr=learning_rates(2e-4),
    ),
    "paper": Size(
        args={"patch_size": 2, "depth": 12},
        widths=_widths(narrow=(384, 6), default=(768, 12), wide=(1024, 16)),
        lr=learning_rates(1e-4),
    ),
}


def positions(rows: int, columns: int, channels: int) -> Tensor:
    """Fixed embedding of a grid's places, float32 [rows * columns, channels], row by row.

    Half of the channels tell the row, half the column, as sines and cosines whose angular
    frequencies fall geometrically from 1 to nearly 1/10000 (Vaswani et al. 2017).
    """
    axis = Positional(channels // 2, endpoint=False)
    row, column = axis(torch.arange(rows)), axis(torch.arange(columns))
    grid = torch.cat(
        [row[:, None].expand(-1, columns, -1), column[None].expand(rows, -1, -1)], dim=2
    )
    return grid.flatten(0, 1)


class Conditioning(nn.Module):
    """Noise level, class and numbers of a case as one vector: two dense layers, then sums."""

    kind = "embedding"

    def __init__(self, inputs: Inputs, channels: int) -> None:
        super().__init__()
        self.n_classes = inputs.n_classes
        self.noise = Positional(NOISE_WAVES, endpoint=False)
        self.dense0 = linear(NOISE_WAVES, channels, _normal)
        self.dense1 = linear(channels, channels, _normal)
        # the last row stands for "no class"
        self.label = nn.Embedding(self.n_classes + 1, channels) if self.n_classes else None
        if self.label is not None:
            nn.init.normal_(self.label.weight, std=0.02)
        vector_dim = inputs.vector_dim
        self.vector = linear(vector_dim, channels, _normal, bias=False) if vector_dim else None

    def forward(self, c_noise: Tensor, cond: Tensor | None, vector: Tensor | None) -> Tensor:
        """[N], [N] or None, [N, V] or None -> [N, C], through a last SiLU."""
        dtype = self.dense0.weight.dtype
        emb = self.dense1(F.silu(self.dense0(self.noise(c_noise).to(dtype))))
        if self.label is not None:
            none = torch.full(c_noise.shape, self.n_classes, device=c_noise.device)
            emb = emb + self.label(none if cond is None else torch.where(cond < 0, none, cond))
        if self.vector is not None and vector is not None:
            emb = emb + self.vector(vector.to(dtype))
        return F.silu(emb)


class TokenAttention(nn.Module):
    """Self-attention of all tokens with all."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = linear(channels, 3 * channels, xavier())
        self.out = linear(channels, channels, xavier())

    def forward(self, tokens: Tensor) -> Tensor:
        """[N, T, C] -> [N, T, C]."""
        n, t, c = tokens.shape
        qkv = self.qkv(tokens).view(n, t, 3, self.heads, c // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # each [N, heads, T, C/heads]
        mixed = F.scaled_dot_product_attention(q, k, v)
        return self.out(mixed.transpose(1, 2).reshape(n, t, c))


class Block(nn.Module):
    """adaLN-Zero: attention, then an MLP, each behind a norm that the embedding shifts and scales,
    each gated by the embedding before it joins the tokens."""

    kind = "transformer"

    def __init__(self, channels: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        self.attention = TokenAttention(channels, heads)
        self.mlp0 = linear(channels, MLP_RATIO * channels, xavier())
        self.mlp1 = linear(MLP_RATIO * channels, channels, xavier())
        self.modulation = linear(channels, 6 * channels, zeros)

    def forward(self, tokens: Tensor, emb: Tensor) -> Tensor:
        """tokens [N, T, C], emb [N, C] -> [N, T, C]."""
        shift0, scale0, gate0, shift1, scale1, gate1 = self.modulation(emb)[:, None].chunk(6, dim=2)
        tokens = tokens + gate0 * self.attention(_modulated(tokens, shift0, scale0))
        h = F.gelu(self.mlp0(_modulated(tokens, shift1, scale1)), approximate="tanh")
        return tokens + gate1 * self.mlp1(dropout(h, self.dropout, self.training))


class Patches(nn.Module):
    """A dense layer on every patch, and its place."""

    kind = "stem"

    def __init__(self, inputs: Inputs, channels: int, patch_size: int) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.dense = linear(inputs.in_channels * patch_size**2, channels, xavier())
        self.places: Tensor
        grid = [side // patch_size for side in inputs.spatial]
        self.register_buffer("places", positions(grid[0], grid[1], channels), persistent=False)
        self.grid = grid

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, T, channels], T = H W / patch_size^2, row by row."""
        p = self.patch_size
        grid = [side // p for side in x.shape[2:]]
        parts = x.unflatten(3, (grid[1], p)).unflatten(2, (grid[0], p))
        tokens = self.dense(parts.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2))
        if grid == self.grid:
            return tokens + self.places
        places = positions(grid[0], grid[1], tokens.shape[2])  # an image of another size
        return tokens + places.to(tokens)


class Head(nn.Module):
    """Norm that the embedding shifts and scales, then a dense layer that gives the patches."""

    kind = "head"

    def __init__(self, channels: int, out_channels: int, patch_size: int) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.modulation = linear(channels, 2 * channels, zeros)
        self.dense = linear(channels, out_channels * patch_size**2, zeros)

    def forward(self, tokens: Tensor, emb: Tensor, rows: int) -> Tensor:
        """tokens [N, T, C] of `rows` rows of patches, emb [N, C] -> [N, C_out, H, W]."""
        p = self.patch_size
        shift, scale = self.modulation(emb)[:, None].chunk(2, dim=2)
        pixels = self.dense(_modulated(tokens, shift, scale))
        parts = pixels.unflatten(2, (-1, p, p)).unflatten(1, (rows, -1))
        return parts.permute(0, 3, 1, 4, 2, 5).flatten(4).flatten(2, 3)


class DiT(Backbone):
    """Patches, blocks, patches."""

    def __init__(self, inputs: Inputs, args: Args) -> None:
        for side in inputs.spatial:
            if side % args.patch_size:
                raise ValueError(
                    f"each side must be a multiple of patch_size {args.patch_size}, not {side}"
                )
        super().__init__(inputs, c_noise_range=POSITIONAL_RANGE, divisor=args.patch_size)
        channels = args.hidden_size
        self.stem = Patches(inputs, channels, args.patch_size)
        self.embedding = Conditioning(inputs, channels)
        self.blocks = nn.ModuleList(
            Block(channels, args.heads, args.dropout) for _ in range(args.depth)
        )
        self.head = Head(channels, inputs.out_channels, args.patch_size)

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
        tokens = self.stem(x)
        for block in self.blocks:
            tokens = block(tokens, emb)
        return self.head(tokens, emb, x.shape[2] // self.divisor)


def build(inputs: Inputs, args: Args) -> Backbone:
    """A new DiT; ValueError if the patches do not fit the sides."""
    return DiT(inputs, args)


def _modulated(tokens: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Normed, without weights of its own; then [N, 1, C] scale and shift."""
    return torch.addcmul(shift, F.layer_norm(tokens, tokens.shape[-1:], eps=EPS), scale + 1)


def _normal(layer: nn.Conv2d | nn.Linear) -> None:
    nn.init.normal_(layer.weight, std=0.02)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
