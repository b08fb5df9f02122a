"""What a network gets and gives: one description to build it, cost it, time it and check it by.

No torch here: a configuration holds one, and reads it without importing a network.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Sizes of one case. ValueError where they cannot be right.

    spatial: H, W of a picture or D, H, W of a volume; any aspect.
    channels: of the state, what a diffusion method noises; 0 for a method without one.
    out_channels: of what the network gives.
    condition_channels: of condition images (a noisy picture, modalities, coordinates), which
        whoever wraps the network puts behind the state's channels.
    n_classes: 0 for no class condition; else classes 0 to n_classes - 1, and -1 for "no class".
    vector_dim: numbers that come with each case (augmentation labels, a measured condition).
    """

    spatial: tuple[int, ...]
    channels: int
    out_channels: int
    condition_channels: int = 0
    n_classes: int = 0
    vector_dim: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "spatial", tuple(self.spatial))
        if len(self.spatial) not in (2, 3) or min(self.spatial) < 1:
            raise ValueError(f"spatial must be (H, W) or (D, H, W), all positive; {self.spatial}")
        for name in ("channels", "condition_channels", "n_classes", "vector_dim"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        if self.in_channels < 1 or self.out_channels < 1:
            raise ValueError(
                f"a network needs a channel to read and one to give, got {self.in_channels} "
                f"and {self.out_channels}"
            )

    @property
    def in_channels(self) -> int:
        """Channels of the tensor that the network reads: the state's, then the condition's."""
        return self.channels + self.condition_channels

    @property
    def pixels(self) -> int:
        """Pixels (voxels) of one channel."""
        return math.prod(self.spatial)

    @property
    def text(self) -> str:
        """'32x32, 1 channel' in one line, for people."""
        parts = ["x".join(map(str, self.spatial)), f"{self.in_channels} in"]
        parts += [f"{self.out_channels} out"] if self.out_channels != self.in_channels else []
        parts += [f"{self.n_classes} classes"] if self.n_classes else []
        parts += [f"{self.vector_dim} numbers a case"] if self.vector_dim else []
        return ", ".join(parts)
