"""Fast-DDPM: DDPM on a few of its steps, the same in training and in sampling.

Jiang et al. 2024 (arXiv 2405.14802): linear betas over T = 1000, `train_steps` = 10 of them, a
uniform and a non-uniform set; drawn in pairs, the k-th of the set and the k-th from its end.

Ours: both sets for any number of steps, and exactly `train_steps` of them. The authors' code for a
uniform set of 10 makes 11 points (0, 99, 199, .., 999); here 10 are 10, evenly spaced from 0 to
T-1: 0, 111, 222, .., 999.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

import numpy as np

from bench.diffusion.preconditioning.ddpm import DDPM
from bench.diffusion.preconditioning.discrete import Steps

# of 1000; the last five are twice as dense as the middle and four times as dense as the first
PUBLISHED = (0, 199, 399, 599, 699, 799, 849, 899, 949, 999)


@dataclass(frozen=True, kw_only=True)
class UniformFastDDPM(DDPM):
    """`train_steps` evenly spaced steps from 0 to T-1, both included."""

    name: ClassVar[str] = "fast_ddpm_uniform"
    anchors: ClassVar[tuple[int, ...]] = (0, 999)
    train_steps: int = 10
    antithetic: bool = True

    def __post_init__(self) -> None:
        self.require(
            isinstance(self.train_steps, int) and 2 <= self.train_steps <= self.T,
            f"train_steps={self.train_steps!r} must be a whole number in 2..T={self.T}",
        )
        super().__post_init__()
        used = self.steps_used()
        self.require(
            bool((np.diff(used) > 0).all()),
            f"train_steps={self.train_steps} are too many: where they lie densest, only "
            f"{len(np.unique(used))} of T={self.T} are different; use fewer",
        )

    def steps_used(self) -> Steps:
        """The anchors, stretched to 0 .. T-1 and joined by lines, at evenly spaced positions."""
        gaps, ends = len(self.anchors) - 1, Fraction(self.T - 1, self.anchors[-1])
        used = []
        for i in range(self.train_steps):
            place = Fraction(i * gaps, self.train_steps - 1)
            low = min(int(place), gaps - 1)
            first, second = self.anchors[low : low + 2]
            exact = (first + (place - low) * (second - first)) * ends
            used.append(int(exact + Fraction(1, 2)))
        return np.array(used, dtype=np.int64)

    def remedy(self, n: int) -> str:
        return f"use at most {self.train_steps} steps, or train on more as well (train_steps)"


@dataclass(frozen=True, kw_only=True)
class FastDDPM(UniformFastDDPM):
    """The non-uniform set, denser where there is more noise; with 10 steps it is the published one.

    Another number of steps keeps the published set's density (the authors' code has another rule
    there: 40 % of the steps below 699, 60 % above).
    """

    name: ClassVar[str] = "fast_ddpm"
    anchors: ClassVar[tuple[int, ...]] = PUBLISHED
