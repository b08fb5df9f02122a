"""The noise of a digital radiograph: Poisson and Gaussian, in the detector's domain.

A displayed picture p in [0, 1], bright where the body is dense, is the scaled logarithm of what
came through it: exp(-attenuation * p) of the photons. A detector counts
Poisson(dose * exp(-attenuation * p)) + N(0, read_noise^2) of them, and the picture is drawn from
-ln(count / dose) / attenuation. By the delta method its noise has the variance
(n + read_noise^2) / (n * attenuation)^2 with n = dose * exp(-attenuation * p): dense places are
the noisiest. Ours: the pixel is the working resolution's; counts below FLOOR photons (a logarithm
must exist) are set to FLOOR, and the share of them is measured, not hidden.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.streams import stream

FLOOR = 0.5  # photons
MOST = 1e15  # photons a pixel; numpy draws no Poisson number far beyond
HELD_OUT_SEED = 0  # held-out noise is the same for every trial, seed and method

Generator = np.random.Generator


@dataclass(frozen=True, kw_only=True)
class XrayNoise:
    """dose: photons at a pixel that nothing shades. read_noise: standard deviation, in photons.
    attenuation: what the brightest pixel stands for, in natural logarithms of the dose."""

    dose: float = 100.0
    read_noise: float = 1.0
    attenuation: float = 3.0

    def __post_init__(self) -> None:
        if not FLOOR < self.dose <= MOST:
            raise BenchError(
                f"dose is photons at an unattenuated pixel, more than {FLOOR:g} and at most "
                f"{MOST:g}, got {self.dose:g}"
            )
        if not (math.isfinite(self.read_noise) and self.read_noise >= 0):
            raise BenchError(f"read_noise is in photons, 0 or more, got {self.read_noise:g}")
        if not (math.isfinite(self.attenuation) and self.attenuation > 0):
            raise BenchError(
                "attenuation is the dynamic range of the logarithmic picture, more than 0, got "
                f"{self.attenuation:g}"
            )

    def noisy(self, clean: NDArray[np.float32], draw: Generator) -> NDArray[np.float32]:
        """One picture [C, *spatial] in [-1, 1] -> the same with noise; beyond 1 it may go, and
        below -1, as noise about the ends of the range does. Channels are noisy independently."""
        displayed = (clean.astype(np.float64) + 1) / 2
        counts = draw.poisson(self.dose * np.exp(-self.attenuation * displayed)).astype(np.float64)
        counts += self.read_noise * draw.standard_normal(counts.shape)
        return self._displayed(np.maximum(counts, FLOOR)).astype(np.float32)

    def training(
        self, clean: NDArray[np.float32], samples: Sequence[int], seed: int
    ) -> NDArray[np.float32]:
        """Pictures [N, C, *spatial] with noise of their own for each sample number."""
        return self._each(clean, samples, lambda k: stream(seed, "x-ray noise", k))

    def held_out(
        self, clean: NDArray[np.float32], part: str, places: Sequence[int]
    ) -> NDArray[np.float32]:
        """Pictures with the noise of their place in a part, which every method is given, and which
        stays where training pictures come or go."""
        purpose = f"held-out x-ray noise {part}"
        return self._each(clean, places, lambda place: stream(HELD_OUT_SEED, purpose, place))

    def floored_share(self, noisy: NDArray[np.float32]) -> float:
        """The share of pixels whose count was set to FLOOR."""
        top = self._displayed(np.array(FLOOR)).astype(np.float32)
        return float((noisy >= top).mean())

    def _displayed(self, counts: NDArray[np.float64]) -> NDArray[np.float64]:
        """Counts -> pixels, -1 where nothing was absorbed."""
        return np.asarray(-2 * np.log(counts / self.dose) / self.attenuation - 1)

    def _each(
        self,
        clean: NDArray[np.float32],
        numbers: Sequence[int],
        draw: Callable[[int], Generator],
    ) -> NDArray[np.float32]:
        pairs = zip(clean, numbers, strict=True)
        noisy = [self.noisy(picture, draw(int(number))) for picture, number in pairs]
        return np.stack(noisy) if noisy else np.empty_like(clean)
