"""What a case is predicted from: classes, condition images, numbers; or nothing at all.

A task makes conditions, a method hands them to its network. Images are joined to the network's
input channels, classes and numbers go to its embedding. A batch has the same fields for all cases.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Condition:
    """Of N cases. A field that a task does not have is None.

    classes: int64 [N]; -1 means "no class", which is how guidance asks for the unconditional.
    images: float32 [N, C, *spatial] in [-1, 1], C = Inputs.condition_channels.
    vector: float32 [N, V], V = Inputs.vector_dim; zeros mean "nothing is known".
    """

    classes: Tensor | None = None
    images: Tensor | None = None
    vector: Tensor | None = None

    def to(self, device: torch.device | str) -> Condition:
        """The same on another device."""
        return self._each(lambda tensor: tensor.to(device))

    def rows(self, places: Sequence[int] | slice) -> Condition:
        """Of some of the cases."""
        return self._each(lambda tensor: tensor[places])

    def repeated(self, samples: int) -> Condition:
        """Every case `samples` times, its copies together: [N * samples, ...]."""
        return self._each(lambda tensor: tensor.repeat_interleave(samples, 0))

    def unconditional(self) -> Condition:
        """No class and no numbers; condition images stay, since they are what is to be restored."""
        return Condition(
            classes=None if self.classes is None else torch.full_like(self.classes, -1),
            images=self.images,
            vector=None if self.vector is None else torch.zeros_like(self.vector),
        )

    def _each(self, change: object) -> Condition:
        given = {f.name: getattr(self, f.name) for f in fields(self)}
        return Condition(**{k: None if v is None else change(v) for k, v in given.items()})  # type: ignore[operator]  # a callable


NOTHING = Condition()
