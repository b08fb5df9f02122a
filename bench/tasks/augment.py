"""Augmentation that does not leak: what was done to a picture is told to the network as labels.

Karras et al. 2022 (arXiv 2206.00364), appendix F.2, in part: flips, then an affine map of scaling,
rotation and translation, each with probability p. In sampling the labels are zero: nothing was
done. Ours: of volumes only the flips; draws are keyed by the sample's global number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from bench.streams import stream

LABELS = ("flip x", "flip y", "scale", "cos rotation - 1", "sin rotation", "shift x", "shift y")
SCALE_STD = 0.2  # of log2 of the scaling
SHIFT_STD = 0.125  # of the side


def augmented(target: Tensor, p: float, samples: Sequence[int], seed: int) -> tuple[Tensor, Tensor]:
    """float32 [N, C, *spatial] in [-1, 1] -> the same augmented, and labels float32 [N, LABELS]."""
    labels = np.stack([_labels(seed, sample, p, target.ndim - 2) for sample in samples])
    pictures = [_one(x[None], label) for x, label in zip(target, labels, strict=True)]
    return torch.cat(pictures), torch.from_numpy(labels.astype(np.float32))


def _labels(seed: int, sample: int, p: float, ndim: int) -> NDArray[np.float64]:
    """What is done to one sample; zeros for what is not."""
    draw = stream(seed, "augment", sample)
    done = draw.random(5) < p
    scale, angle, shift_x, shift_y = (
        SCALE_STD * draw.standard_normal(),
        draw.uniform(-math.pi, math.pi),
        SHIFT_STD * draw.standard_normal(),
        SHIFT_STD * draw.standard_normal(),
    )
    flat = ndim == 2
    return np.array(
        [
            done[0],
            done[1],
            scale if done[2] and flat else 0.0,
            math.cos(angle) - 1 if done[3] and flat else 0.0,
            math.sin(angle) if done[3] and flat else 0.0,
            shift_x if done[4] and flat else 0.0,
            shift_y if done[4] and flat else 0.0,
        ]
    )


def _one(x: Tensor, label: NDArray[np.float64]) -> Tensor:
    """One picture [1, C, *spatial] under its labels; flips are exact, the rest is bilinear."""
    flip_x, flip_y, scale, cosine, sine, shift_x, shift_y = label
    axes = [axis for axis, flipped in ((-1, flip_x), (-2, flip_y)) if flipped]
    x = x.flip(axes) if axes else x
    if not np.any(label[2:]):
        return x
    factor = 2.0**-scale  # from the new picture's coordinates to the old one's
    height, width = x.shape[-2:]
    c, s = (1 + cosine) * factor, sine * factor
    # affine_grid's coordinates run from -1 to 1 on both sides, whatever the aspect
    matrix = [[c, s * height / width, -2 * shift_x], [-s * width / height, c, -2 * shift_y]]
    grid = F.affine_grid(torch.tensor([matrix], dtype=x.dtype), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, padding_mode="reflection", align_corners=False)
