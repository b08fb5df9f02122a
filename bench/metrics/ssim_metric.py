"""Structural similarity (Wang et al. 2004) of each case, mean over cases; torchmetrics'.

A Gaussian window of sigma 1.5, 11 pixels wide, k1 = .01, k2 = .03, data range 2 (pixels -1 to 1).
Only windows that lie inside the picture count, as in Wang's own code and in scikit-image's
structural_similarity(gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=2);
torchmetrics' own mean has the reflected borders in it, so its map is asked for. Ours: a picture
with a side of 10 pixels or less gets a narrower window, so that something is left of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.metrics.metric import Estimates, Evidence, Metric
from bench.metrics.psnr_metric import DATA_RANGE, require_floats, standard_error
from leaderboards.measures import Measure

SIGMA, RADIUS = 1.5, 5  # of the window, in pixels
TRUNCATE = 3.5  # torchmetrics' and scikit-image's window ends at so many sigma
AT_ONCE = 32  # cases; a window's moments are five pictures each


class SSIMMetric(Metric):
    """`ssim`: 1 where a case is equal to its target."""

    needs: ClassVar[frozenset[str]] = frozenset({"targets"})

    @property
    def measures(self) -> tuple[Measure, ...]:
        return (
            Measure(
                key="ssim",
                title="SSIM",
                direction="higher",
                scale="difference",
                drop=2,
                live=True,
                meaning="mean over cases; data range 2, Gaussian window of sigma 1.5",
            ),
        )

    def protocol(self) -> Mapping[str, Any]:
        return {"data_range": DATA_RANGE, "ssim_sigma": SIGMA}

    def estimate(self, evidence: Evidence) -> Estimates:
        values = ssim_of(evidence)
        return {"ssim": float(values.mean()), **standard_error("ssim", values, evidence.subjects)}


def ssim_of(evidence: Evidence) -> NDArray[np.float64]:
    """The SSIM of each case, once an evaluation."""
    targets = evidence.targets
    assert targets is not None
    return evidence.once("ssim", lambda: ssim(evidence.predictions.values, targets))


def ssim(values: NDArray[Any], targets: NDArray[Any]) -> NDArray[np.float64]:
    """Floats [N, C, *spatial] in [-1, 1], twice, 2D or 3D -> [N]."""
    import torch
    from torchmetrics.functional.image import structural_similarity_index_measure

    require_floats(values)
    spatial = values.shape[2:]
    sigma, radius = window_sigma(spatial), window_radius(spatial)
    inside = (slice(None), slice(None), *(slice(radius, side - radius) for side in spatial))
    found = []
    for first in range(0, len(values), AT_ONCE):
        few = slice(first, first + AT_ONCE)
        _, whole = structural_similarity_index_measure(
            torch.from_numpy(values[few].astype(np.float64)),
            torch.from_numpy(targets[few].astype(np.float64)),
            sigma=sigma,
            kernel_size=2 * radius + 1,
            data_range=DATA_RANGE,
            return_full_image=True,
        )
        found.append(whole[inside].flatten(1).mean(1).numpy())
    return np.concatenate(found)


def window_radius(spatial: tuple[int, ...]) -> int:
    """RADIUS, or what leaves a pixel between the borders."""
    return min(RADIUS, (min(spatial) - 1) // 2)


def window_sigma(spatial: tuple[int, ...]) -> float:
    """SIGMA, or that of a narrower window."""
    radius = window_radius(spatial)
    return SIGMA if radius == RADIUS else radius / TRUNCATE
