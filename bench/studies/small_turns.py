"""Pictures resized, cropped, flipped and rotated a little, each by its own draw.

One affine map a picture, so one interpolation, and a batch at once, on its device: torchvision's
functions, which change a batch alike or else a picture at a time, do the same in several.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

DEGREES = 15.0  # at most, either way
SMALLEST = 0.8  # of the sides, what a crop keeps at least

Float64 = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Turns:
    """What is done to each of N pictures, all [N]: rotated by `degrees` counter-clockwise about
    the middle; then a window of `share` of its sides, its middle `across` and `down` from the
    picture's in halves of a side, becomes the whole; then `mirrored` left to right, or not."""

    degrees: Float64
    share: Float64
    across: Float64
    down: Float64
    mirrored: NDArray[np.bool_]


def drawn_turns(draws: Sequence[np.random.Generator]) -> Turns:
    """One of each generator: angles within DEGREES, windows of SMALLEST or more inside the picture,
    half of them mirrored."""
    u = np.array([generator.random(5) for generator in draws]).reshape(-1, 5)
    share = SMALLEST + (1 - SMALLEST) * u[:, 1]
    return Turns(
        degrees=DEGREES * (2 * u[:, 0] - 1),
        share=share,
        across=(1 - share) * (2 * u[:, 2] - 1),
        down=(1 - share) * (2 * u[:, 3] - 1),
        mirrored=u[:, 4] < 0.5,
    )


def turned(x: Tensor, turns: Turns) -> Tensor:
    """float [N, C, H, W] in [-1, 1] -> the same shape, bilinear, black (-1) beyond the picture."""
    height, width = x.shape[2:]
    cos, sin = np.cos(np.radians(turns.degrees)), np.sin(np.radians(turns.degrees))
    aspect = height / width
    # where a place of the result, in halves of a side from the middle, lies in the picture
    sideways = np.where(turns.mirrored, -turns.share, turns.share)
    rows = [
        [
            cos * sideways,
            -sin * aspect * turns.share,
            cos * turns.across - sin * aspect * turns.down,
        ],
        [
            sin / aspect * sideways,
            cos * turns.share,
            sin / aspect * turns.across + cos * turns.down,
        ],
    ]
    theta = torch.from_numpy(np.stack([np.stack(row, 1) for row in rows], 1)).to(x)
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    return F.grid_sample(x + 1, grid, mode="bilinear", align_corners=False) - 1
