"""Classical estimators: what a learnt method has to beat."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def identity(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """The condition images as they are."""
    return image


def gaussian(image: NDArray[np.float64], sigma: float = 1.0) -> NDArray[Any]:
    """Each channel smoothed by a Gaussian of `sigma` pixels (SciPy)."""
    from scipy.ndimage import gaussian_filter

    return np.stack([gaussian_filter(channel, sigma) for channel in image])
