"""A bare loss log, as text: parsed, and described by raw statistics marked "sigma unknown".

Without each step's sigma nothing can tell an unstable training from a lucky draw of easy noise
levels, so these numbers stand in no ranking.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.errors import BenchError

NOTE = "sigma unknown"
RECORD = re.compile(
    r"\bstep:\s*(?P<step>\d+)\s*,?\s*loss:\s*"
    r"(?P<loss>[-+]?(?:nan|inf(?:inity)?|\d+\.?\d*(?:e[-+]?\d+)?|\.\d+(?:e[-+]?\d+)?))(?![\w.])",
    re.IGNORECASE,
)
BROKEN = re.compile(r"\b(step|loss):", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, eq=False)
class LossLog:
    """Steps [n] and losses [n] of the lines that hold both; skipped: lines that should have."""

    steps: NDArray[np.int64]
    losses: NDArray[np.float64]
    skipped: int


@dataclass(frozen=True, kw_only=True)
class RawStability:
    """Raw statistics of a loss whose sigmas are not known; comparable with nothing.

    n, missing: finite losses, and steps between first and last without one. nonfinite: losses
    that were NaN or infinite, which enter nothing else. rel_spread: scaled median absolute
    deviation over the median. swing: largest over median loss.
    """

    n: int
    missing: int
    nonfinite: int
    first_step: int
    last_step: int
    median: float
    mean: float
    sd: float
    rel_spread: float
    swing: float
    note: str = NOTE


def parse_loss_log(text: str) -> LossLog:
    """Read lines holding `step: 6784, loss: 577.8` (tabs or spaces, any prefix).

    A line that names step or loss without both values is skipped and counted, and so is any line
    with something on it between the first and the last record; text around the log is passed
    over. Raises BenchError where no line holds a record.
    """
    lines = text.splitlines()
    matches = [RECORD.search(line) for line in lines]
    hits = [i for i, match in enumerate(matches) if match]
    if not hits:
        raise BenchError('no line of the log reads like "step: 6784, loss: 577.8"')
    skipped = sum(
        1
        for i, line in enumerate(lines)
        if not matches[i]
        and line.strip()
        and (hits[0] < i < hits[-1] or BROKEN.search(line) is not None)
    )
    records = [match for match in matches if match]
    return LossLog(
        steps=np.array([int(match["step"]) for match in records]),
        losses=np.array([float(match["loss"]) for match in records]),
        skipped=skipped,
    )


def raw_stability(steps: ArrayLike, losses: ArrayLike) -> RawStability:
    """Raw statistics of losses [n] at optimizer steps [n]; raises BenchError if none is finite."""
    at, loss = np.asarray(steps, np.int64), np.asarray(losses, np.float64)
    if at.shape != loss.shape or at.ndim != 1:
        raise BenchError(f"steps {at.shape} and losses {loss.shape} must be two equal lists")
    finite = loss[np.isfinite(loss)]
    if not len(finite):
        raise BenchError("the log holds no finite loss")
    median = float(np.median(finite))
    deviation = 1.4826 * float(np.median(np.abs(finite - median)))
    return RawStability(
        n=len(finite),
        missing=int(at.max() - at.min()) + 1 - len(np.unique(at)),
        nonfinite=len(loss) - len(finite),
        first_step=int(at.min()),
        last_step=int(at.max()),
        median=median,
        mean=float(finite.mean()),
        sd=float(finite.std(ddof=1)) if len(finite) > 1 else 0.0,
        rel_spread=deviation / abs(median) if median else float("inf"),
        swing=float(finite.max()) / median if median else float("inf"),
    )
