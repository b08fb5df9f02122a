"""Several denoisers as one: the mean of their estimates."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from bench.conditions import Condition
from bench.errors import BenchError


class Ensemble:
    """D(x; sigma, cond), averaged over its members in float64.

    For networks of one task, of any preconditionings: the mean is of D, not of raw outputs. A call
    counts as the members' evaluations together. Owns nothing; members keep their own devices.
    """

    def __init__(self, members: Sequence[Callable[..., Tensor]]) -> None:
        if not members:
            raise BenchError("an ensemble needs at least one network")
        self.members = tuple(members)
        self.evaluations: int = sum(getattr(member, "evaluations", 1) for member in members)

    def __call__(self, x: Tensor, sigma: Tensor | float, cond: Condition | None = None) -> Tensor:
        """x [N, C, *spatial] at sigma ([N] or one number) -> x0 float64 of x's shape."""
        estimates = [member(x, sigma, cond).double() for member in self.members]
        return torch.stack(estimates).mean(0)
