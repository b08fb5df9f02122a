"""Smooth random fields at any points: sums of cosine waves of one length and random directions.

By the central limit theorem a sum of many such waves is nearly Gaussian; its zeros form the
labyrinth that is used for the folds of the cortex. The field has mean 0 and standard deviation 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

F = NDArray[np.float32]
_AT_ONCE = 1 << 18  # points a matrix product takes


@dataclass(frozen=True, kw_only=True)
class Waves:
    """vectors: float32 [3, K], radians a mm; phases: float32 [K]."""

    vectors: F
    phases: F

    def at(self, points: F) -> F:
        """float32 [N]: the field at points [N, 3] in mm."""
        values = np.empty(len(points), np.float32)
        scale = np.float32(np.sqrt(2 / len(self.phases)))
        for start in range(0, len(points), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            values[part] = np.cos(points[part] @ self.vectors + self.phases).sum(axis=1) * scale
        return values

    def distance_to_zero(self, points: F) -> F:
        """float32 [N]: about how far, in mm, the nearest zero of the field is.

        |field| over the length of its gradient, which is right near the zero; where the gradient
        nearly vanishes its typical length stands in for it.
        """
        distance = np.empty(len(points), np.float32)
        scale = np.float32(np.sqrt(2 / len(self.phases)))
        typical = np.sqrt(np.mean(np.square(self.vectors).sum(axis=0)))
        for start in range(0, len(points), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            angle = points[part] @ self.vectors + self.phases
            value = np.cos(angle).sum(axis=1) * scale
            gradient = (np.sin(angle) @ self.vectors.T) * scale
            steep = np.sqrt(np.square(gradient).sum(axis=1) + np.square(0.4 * typical))
            distance[part] = np.abs(value) / steep
        return distance


def draw_waves(rng: np.random.Generator, length: float, count: int = 24) -> Waves:
    """Waves of about `length` mm from crest to crest."""
    directions = rng.standard_normal((3, count))
    directions /= np.linalg.norm(directions, axis=0)
    turns = 2 * np.pi / (length * rng.uniform(0.8, 1.25, count))
    return Waves(
        vectors=(directions * turns).astype(np.float32),
        phases=rng.uniform(0, 2 * np.pi, count).astype(np.float32),
    )
