"""Size: one architecture at one scale. Every architecture's module has `SIZES`, by scale name.

A scale says how large pictures are and how long training may take (smoke, laptop, gpu, paper);
what network suits it is the architecture's own affair and stands beside it. No torch here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Size:
    """Arguments of an architecture's `Args`, and the learning rates they were chosen with.

    args: shared by all its widths.
    widths: by name (narrow, default, wide) the arguments that make the network so. ValueError
        without a default.
    lr: of the default configuration, by the name of the preconditioning (edm, vp, ve); the one of
        "default" holds for all that have none of their own.
    """

    args: Mapping[str, Any]
    widths: Mapping[str, Mapping[str, Any]]
    lr: Mapping[str, float]

    def __post_init__(self) -> None:
        if "default" not in self.widths:
            raise ValueError(f"a Size needs a width 'default', it has {', '.join(self.widths)}")

    def arguments(self, width: str = "default") -> dict[str, Any]:
        """All of one width."""
        return {**self.args, **self.widths[width]}

    def learning_rate(self, setup: str, otherwise: float) -> float:
        """Of a preconditioning, or `otherwise` where none was chosen for this size."""
        return self.lr.get(setup, self.lr.get("default", otherwise))


def widths(narrow: int, default: int, wide: int) -> dict[str, dict[str, int]]:
    """The three of an architecture that has an argument `width`."""
    return {"narrow": {"width": narrow}, "default": {"width": default}, "wide": {"width": wide}}


def learning_rates(edm: float, others: float | None = None) -> dict[str, float]:
    """Of the EDM preconditioning and of all others; the same where no difference is known."""
    return {"edm": edm, "default": others or edm}
