"""What the loop trains: a network and a loss per sample; methods that train are such objectives.

Randomness: `terms` draws by (seed, purpose, global sample index), nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn

from bench.conditions import NOTHING, Condition


@dataclass(frozen=True, kw_only=True)
class Batch:
    """One batch of a task, in the task's data range."""

    target: Tensor  # float32 N C *spatial
    condition: Condition = NOTHING


@dataclass(frozen=True, kw_only=True)
class Terms:
    """The loss of each sample and, where noise levels exist, what stability is read from."""

    loss: Tensor  # [N], weighted; the step's loss is its mean
    sigma: Tensor | None = None  # [N]
    sq_error: Tensor | None = None  # [N], mean over pixels of (D - y)^2


class Source(Protocol):
    """Where batches come from: a task. `samples` are global sample numbers, any of them at once."""

    def batch(self, samples: Sequence[int], seed: int) -> Batch: ...


class Objective(Protocol):
    """Owns its network; the loop owns the optimizer and the averages."""

    net: nn.Module

    def terms(self, batch: Batch, samples: Sequence[int], seed: int) -> Terms: ...
