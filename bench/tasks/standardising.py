"""Standardised pictures: mean 0 and standard deviation 1, by the training set or each by itself.

A network trained on x' = (x - m) / s has another noise relation than one trained on x in [-1, 1]: a
schedule made for unit variance (DDPM's) adds to x the noise that is 1/s of the data, and EDM's
range of sigma covers other ratios. In x' sigma_data is 1, and the diffusion runs there throughout.

"set": m and s are the training set's over all channels, one affine map that is undone exactly.
"image": each training picture has its own m and s (s at least one grey level of 255), so their
brightness and contrast are not learned. Generated pictures come back with the set's m and s: what
single pictures differ in there is lost, and a distance to real pictures counts it.

What metrics see is in [-1, 1] in every case: D(x; sigma) = s D'((x - m) / s; sigma / s) + m.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from bench.conditions import Condition
from bench.data.cache import CachedImages
from bench.data.value_range import pixel_statistics
from bench.predictions import Denoise

STANDARDS = ("none", "set", "image")
LEAST = 2 / 255  # of a picture's standard deviation: a flat picture is not blown up to noise


def pixels_of(data: CachedImages) -> list[float]:
    """Mean and standard deviation of all channels of the train part in [-1, 1]."""
    means = data.meta.get("channel_mean")
    if means is None:
        means = pixel_statistics(data.images, data.parts["train"], data.value_range).mean
    return [float(np.mean(means)), float(data.sigma_data)]


@dataclass(frozen=True, kw_only=True)
class Standard:
    """The map between [-1, 1] and what the network sees."""

    mean: float
    std: float
    each: bool  # picture by itself, on the way in

    @classmethod
    def of(cls, args: Mapping[str, Any]) -> Standard | None:
        """That of a task's arguments; None where pictures stay in [-1, 1]."""
        if args["standardise"] == "none":
            return None
        mean, std = args["pixels"]
        return cls(mean=mean, std=std, each=args["standardise"] == "image")

    @property
    def network_range(self) -> tuple[float, float]:
        """What [-1, 1] is in the network's range, by the set's mean and deviation."""
        return (-1 - self.mean) / self.std, (1 - self.mean) / self.std

    def to_network(self, x: Tensor) -> Tensor:
        """float32 [N, C, *spatial] in [-1, 1] -> standardised."""
        if not self.each:
            return (x - self.mean) / self.std
        axes = tuple(range(1, x.ndim))
        std = x.std(dim=axes, keepdim=True, correction=0).clamp(min=LEAST)
        return (x - x.mean(dim=axes, keepdim=True)) / std

    def to_pixels(self, x: Tensor) -> Tensor:
        return x * self.std + self.mean

    def denoiser(self, denoise: Denoise) -> Denoise:
        """D in [-1, 1] of the network's own."""

        def in_pixels(x: Tensor, sigma: Tensor, condition: Condition) -> Tensor:
            inner = denoise((x - self.mean) / self.std, sigma / self.std, condition)
            return self.to_pixels(inner)

        return in_pixels
