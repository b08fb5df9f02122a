"""Slight damage whose kind and size the extractor `drawn` learns to tell, so that it sees it.

All on a batch of pictures in [-1, 1], float [n, 3, S, S]; the random numbers are the caller's.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

Draw = np.random.Generator
GREY_LEVEL = 2 / 255  # of a picture in [-1, 1]


def noise(x: Tensor, sd: float, rng: Draw) -> Tensor:
    drawn = torch.from_numpy(rng.standard_normal(x.shape, dtype=np.float32))
    return x + sd * GREY_LEVEL * drawn


def grey_noise(x: Tensor, sd: float, rng: Draw) -> Tensor:
    return noise(x[:, :1], sd, rng) - x[:, :1] + x


def blur(x: Tensor, sigma_px: float, rng: Draw) -> Tensor:
    taps = torch.exp(-0.5 * (torch.arange(-4, 5) / sigma_px) ** 2)
    taps = (taps / taps.sum()).expand(3, 1, 1, 9)
    x = F.conv2d(F.pad(x, (4, 4, 4, 4), mode="reflect"), taps, groups=3)
    return F.conv2d(x, taps.transpose(2, 3), groups=3)


def checkerboard(x: Tensor, amplitude: float, rng: Draw) -> Tensor:
    side = torch.arange(x.shape[-1]) + int(rng.integers(2))
    return x + amplitude * GREY_LEVEL * (1 - 2.0 * ((side + side[:, None]) % 2))


def jpeg(x: Tensor, quality: float, rng: Draw) -> Tensor:
    levels = ((x + 1) / GREY_LEVEL).clamp(0, 255).round().byte().permute(0, 2, 3, 1).numpy()
    out = np.empty_like(levels)
    for place, picture in enumerate(levels):
        file, grey = io.BytesIO(), bool((picture[..., :1] == picture).all())
        Image.fromarray(picture[..., 0] if grey else picture).save(file, "JPEG", quality=quality)
        back = np.asarray(Image.open(file))
        out[place] = back[..., None] if grey else back
    return torch.from_numpy(out).permute(0, 3, 1, 2).float() * GREY_LEVEL - 1


def elastic(x: Tensor, shift_px: float, rng: Draw) -> Tensor:
    coarse = torch.from_numpy(rng.standard_normal((len(x), 2, 6, 6), dtype=np.float32))
    shift = F.interpolate(coarse, x.shape[-2:], mode="bicubic").permute(0, 2, 3, 1)
    turned = torch.eye(2, 3).expand(len(x), 2, 3)
    grid = F.affine_grid(turned, list(x.shape), align_corners=False)
    moved = grid + shift_px * 2 / x.shape[-1] * shift
    return F.grid_sample(x, moved, padding_mode="reflection", align_corners=False)


def brightness(x: Tensor, shift: float, rng: Draw) -> Tensor:
    return x + shift * GREY_LEVEL * (1 if rng.random() < 0.7 else -1)


def contrast(x: Tensor, factor: float, rng: Draw) -> Tensor:
    mean = x.mean((1, 2, 3), keepdim=True)
    return mean + factor * (x - mean)


def colour(x: Tensor, share: float, rng: Draw) -> Tensor:
    """Colours change places by this share; a grey picture gets a tint."""
    tint = torch.from_numpy(rng.standard_normal((len(x), 3, 1, 1), dtype=np.float32))
    return x + share * (x.roll(1, dims=1) - x) + 0.3 * share * tint


def swapped_halves(x: Tensor, size: float, rng: Draw) -> Tensor:
    return x.roll(x.shape[-1] // 2, dims=-1 if size < 1 else -2)


def upside_down(x: Tensor, size: float, rng: Draw) -> Tensor:
    return x.flip(-2)


DAMAGE: tuple[tuple[Callable[[Tensor, float, Draw], Tensor], tuple[float, ...]], ...] = (
    (noise, (3, 8, 20)),
    (grey_noise, (3, 8, 20)),
    (blur, (0.45, 0.7, 1.1)),
    (checkerboard, (1.5, 5, 15)),
    (jpeg, (80, 50, 20)),
    (elastic, (0.4, 0.8, 1.6)),
    (brightness, (12, 30, 60)),
    (contrast, (0.8, 0.6, 0.4)),
    (colour, (0.2, 0.5, 1)),
    (swapped_halves, (0.5, 1)),
    (upside_down, (1,)),
)
KINDS = 1 + sum(len(levels) for _, levels in DAMAGE)  # 0: none


def damaged(x: Tensor, rng: Draw) -> tuple[Tensor, Tensor]:
    """(`x`, each with one kind and size of damage or none, in whole grey levels; which [n])."""
    which = rng.integers(0, KINDS, len(x))
    out, number = x.clone(), 1
    for damage, levels in DAMAGE:
        for level in levels:
            rows = torch.from_numpy(np.flatnonzero(which == number))
            if len(rows):
                out[rows] = damage(x[rows], level, rng)
            number += 1
    whole = ((out + 1) / GREY_LEVEL).clamp(0, 255).round() * GREY_LEVEL - 1
    return whole, torch.from_numpy(which)
