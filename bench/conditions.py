"""What a case is predicted from: classes, condition images, numbers; or nothing at all.

A task makes conditions, a method hands them to its network. Images are joined to the network's
input channels, classes and numbers go to its embedding. A batch has the same fields for all cases.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True, eq=False)  # tensors have no one truth of equality
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

    def unconditional(self, dropped: Tensor | None = None) -> Condition:
        """No class and no numbers; condition images stay, since they are what is to be restored.

        `dropped` bool [N] says for which cases (None: for all). Training with some cases dropped
        teaches a network the unconditional estimate that classifier-free guidance asks for.
        """
        classes, vector = self.classes, self.vector
        if classes is not None:
            none_known = torch.full_like(classes, -1)
            classes = none_known if dropped is None else torch.where(dropped, none_known, classes)
        if vector is not None:
            none_known = torch.zeros_like(vector)
            vector = (
                none_known if dropped is None else torch.where(dropped[:, None], none_known, vector)
            )
        return Condition(classes=classes, images=self.images, vector=vector)

    def _each(self, change: Callable[[Tensor], Tensor]) -> Condition:
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        return Condition(**{k: None if v is None else change(v) for k, v in given.items()})


NOTHING = Condition()
