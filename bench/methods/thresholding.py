"""Segmentation without learning: nothing at all, and thresholds of one modality's brightness.

The image is [modalities, *spatial] in [-1, 1], where -1 is outside of the brain (or body); usually
its last modality is looked at, which of BraTS is FLAIR. Thresholds are taken inside alone: the air
around it would decide them. Answers are -1 or 1: one channel is the foreground; of more, background
first, all foreground is class 1, as brightness says nothing of which class it is. Milliseconds for
a 64^3 volume.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from skimage.filters import threshold_otsu

from bench.errors import BenchError

Image = NDArray[np.float64]
OUTSIDE = -1.0


def background(image: Image, *, out_channels: int = 1) -> Image:
    """No foreground: what a rare class makes look good voxel by voxel."""
    return _answer(np.zeros(image.shape[1:], bool), out_channels)


def otsu(image: Image, modality: int = -1, *, out_channels: int = 1) -> Image:
    """Brighter than Otsu's threshold (1979; scikit-image) of this modality inside the brain. Where
    all is equally bright, or there is no inside, no foreground."""
    chosen = _chosen(image, modality)
    inside = chosen[chosen > OUTSIDE]
    if not len(inside) or inside.min() == inside.max():
        return background(image, out_channels=out_channels)
    return _answer(chosen > threshold_otsu(inside), out_channels)


def threshold(
    image: Image, modality: int = -1, share: float = 0.05, *, out_channels: int = 1
) -> Image:
    """The brightest `share` of the voxels inside the brain, of this modality: those above the
    quantile 1 - share, so none where the brightest are all equal."""
    if not 0 < share < 1:
        raise BenchError(
            f"share of a threshold is of the voxels inside the brain, above 0 and below 1; got "
            f"{share:g}"
        )
    chosen = _chosen(image, modality)
    inside = chosen[chosen > OUTSIDE]
    if not len(inside):
        return background(image, out_channels=out_channels)
    return _answer(chosen > np.quantile(inside, 1 - share), out_channels)


def _chosen(image: Image, modality: int) -> Image:
    """BenchError for a modality that is not there."""
    if not -len(image) <= modality < len(image):
        raise BenchError(
            f"modality of a threshold is the place of a channel, 0 to {len(image) - 1}, or -1 for "
            f"the last; got {modality}"
        )
    return np.asarray(image[modality], np.float64)


def _answer(foreground: NDArray[np.bool_], out_channels: int) -> Image:
    """A mask [*spatial] -> scores [out_channels, *spatial], -1 or 1."""
    scores = np.full((out_channels, *foreground.shape), -1.0)
    if out_channels == 1:
        scores[0, foreground] = 1
    else:
        scores[0, ~foreground], scores[1, foreground] = 1, 1
    return scores
