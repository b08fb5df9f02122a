"""What the loop trains: a method turned into a network, a loss per sample and a predictor.

Diffusion, direct (regression) and classical methods meet the loop and the task through this file
alone. Randomness: `terms` draws by (seed, purpose, global sample index), nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from bench import doors
from bench.config import TrialConfig
from bench.streams import derive_seed

METHODS = {"diffusion": "bench.train.diffusion_method:DiffusionObjective"}


@dataclass(frozen=True, kw_only=True)
class Batch:
    """One batch of a task, in the task's data range."""

    target: Tensor  # float32 N C *spatial
    condition: Tensor | None = None  # int64 [N] classes, or float32 N C' *spatial images


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

    def predictor(self, net: nn.Module, seed: int) -> Any:
        """What the task evaluates, around a copy of the network with judged weights."""
        ...


def build(config: TrialConfig) -> Objective:
    """The objective of a trial; its initialisation draws from torch's generator, seeded here."""
    make = doors.load("method", METHODS, config.method.kind)
    torch.manual_seed(derive_seed(config.seed, "init"))
    objective: Objective = make(config)
    return objective
