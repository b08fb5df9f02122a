"""Non-finite values are never averaged away: they end a measurement with an error of their own."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError


class NonFiniteError(BenchError):
    """A measured quantity holds NaN or infinity; a trial that raises it has diverged."""


def require_finite(values: NDArray[Any], what: str) -> None:
    """Raise NonFiniteError, with counts, unless every entry of `values` is finite."""
    bad = int(values.size - np.isfinite(values).sum())
    if bad:
        raise NonFiniteError(
            f"{what}: {bad} of {values.size} values are NaN or infinite; "
            "the network that made them has diverged (lower the learning rate or clip gradients)"
        )
