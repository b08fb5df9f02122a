"""Radial frequency of pictures and volumes: power spectra and what of them lies in a band.

A frequency is in cycles a pixel, the length of its vector over all axes: .5 is Nyquist's along one
axis. Power is |FFT|^2 / pixels^2, so that the power of all frequencies is the mean square
(Parseval).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

# Octaves below Nyquist's: what is a quarter of it or less, a half, and the rest up to the corners.
BANDS = {"low": (0.0, 0.125), "mid": (0.125, 0.25), "high": (0.25, np.inf)}


def power(pictures: NDArray[Any]) -> NDArray[np.float64]:
    """Floats [N, C, *spatial] -> [N, *spatial], the mean over channels."""
    axes = tuple(range(2, pictures.ndim))
    count = int(np.prod(pictures.shape[2:]))
    spectrum = np.fft.fftn(pictures.astype(np.float64), axes=axes)
    return np.asarray((np.abs(spectrum) ** 2).mean(1) / count**2)


def radius(spatial: tuple[int, ...]) -> NDArray[np.float64]:
    """The frequency of each place of a spectrum [*spatial]."""
    axes = np.meshgrid(*(np.fft.fftfreq(side) for side in spatial), indexing="ij")
    return np.asarray(np.sqrt(sum(axis**2 for axis in axes)))


def in_bands(spectra: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Power [N] of each band; the bands' add up to the whole."""
    where = radius(spectra.shape[1:])
    return {
        name: spectra[:, (where >= low) & (where < high)].sum(1)
        for name, (low, high) in BANDS.items()
    }


def radial(spectrum: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """[*spatial] -> frequencies and the mean power of a place in rings one pixel of the shortest
    side wide, up to Nyquist's."""
    side = min(spectrum.shape)
    ring = np.rint(radius(spectrum.shape) * side).astype(int).ravel()
    total = np.bincount(ring, spectrum.ravel())
    mean = total / np.maximum(np.bincount(ring), 1)
    count = side // 2 + 1
    return np.arange(count) / side, mean[:count]
