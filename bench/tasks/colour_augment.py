"""Changes of colour as augmentation, told to the network as labels like `bench.tasks.augment`'s.

Karras et al. 2022 (arXiv 2206.00364), appendix F.2 and its source, StyleGAN2-ADA's pipe (Karras et
al. 2020, arXiv 2006.06676, appendix B), in part: brightness, contrast, and, with three channels,
saturation about the grey axis, each with probability p. Values are not clipped. In sampling the
labels are zero: nothing was done. Ours: draws are keyed by the sample's global number.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from bench.streams import stream

COLOURS = ("brightness", "contrast", "saturation")
BRIGHTNESS_STD = 0.2  # added, in [-1, 1]
CONTRAST_STD = 0.5  # of log2 of the factor about 0
SATURATION_STD = 1.0  # of log2 of the factor about grey


def recoloured(
    target: Tensor, p: float, samples: Sequence[int], seed: int
) -> tuple[Tensor, Tensor]:
    """float32 [N, C, *spatial] in [-1, 1] -> the same recoloured, labels float32 [N, COLOURS]."""
    labels = np.zeros((len(samples), len(COLOURS)))
    for row, sample in zip(labels, samples, strict=True):
        draw = stream(seed, "augment colour", sample)
        done = draw.random(len(COLOURS)) < p
        row[:] = done * draw.standard_normal(len(COLOURS))
    labels *= (BRIGHTNESS_STD, CONTRAST_STD, SATURATION_STD if target.shape[1] == 3 else 0.0)
    changes = torch.from_numpy(labels.astype(np.float32))
    shape = (-1, *(1,) * (target.ndim - 1))
    brightness, contrast, saturation = (column.view(shape) for column in changes.unbind(1))
    bright = (target + brightness) * torch.exp2(contrast)
    grey = bright.mean(dim=1, keepdim=True)
    return grey + (bright - grey) * torch.exp2(saturation), changes
