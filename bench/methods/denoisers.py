"""Classical denoisers from scikit-image, channel by channel, 2D and 3D, pixels in [-1, 1].

`noise` is the noise's standard deviation on that range, one number for the whole picture, though
x-ray noise grows with density: it is found by the sweep, not given. Milliseconds at 32 px; at
256 px about .6 s (non-local means), .02 s (wavelet) and .2 s (total variation) on one core.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.restoration import denoise_nl_means, denoise_tv_chambolle, denoise_wavelet

from bench.errors import BenchError, unknown

Image = NDArray[np.float64]
SHRINKS = {"bayes": "BayesShrink", "visu": "VisuShrink"}
PATCH, DISTANCE = 5, 6  # of non-local means: pixels of a patch's side, and how far it looks


def non_local_means(image: Image, noise: float = 0.15, strength: float = 0.8) -> NDArray[Any]:
    """Buades et al. 2005: patches of 5 pixels as far as 6; cut-off h = strength * noise."""
    _positive(noise=noise, strength=strength)
    return _each(
        image,
        lambda channel: denoise_nl_means(
            channel,
            patch_size=PATCH,
            patch_distance=DISTANCE,
            h=strength * noise,
            sigma=noise,
            fast_mode=True,
        ),
    )


def wavelet(image: Image, noise: float = 0.15, shrink: str = "bayes") -> NDArray[Any]:
    """Soft thresholds of db2 coefficients, by "bayes" (Chang et al. 2000: one each subband) or
    "visu" (Donoho and Johnstone 1994: one for all)."""
    _positive(noise=noise)
    if shrink not in SHRINKS:
        raise unknown("shrink", shrink, SHRINKS)
    return _each(
        image,
        lambda channel: denoise_wavelet(
            channel,
            sigma=noise,
            wavelet="db2",
            mode="soft",
            method=SHRINKS[shrink],
            rescale_sigma=False,
        ),
    )


def total_variation(image: Image, weight: float = 0.15) -> NDArray[Any]:
    """Rudin, Osher and Fatemi 1992, minimised as Chambolle (2004) does."""
    _positive(weight=weight)
    return _each(image, lambda channel: denoise_tv_chambolle(channel, weight=weight))


def _each(image: Image, denoise: Callable[[Image], Any]) -> NDArray[Any]:
    return np.stack([denoise(channel) for channel in image])


def _positive(**settings: float) -> None:
    for name, value in settings.items():
        if not value > 0:
            raise BenchError(f"{name} of a denoiser must be positive, got {value:g}")
