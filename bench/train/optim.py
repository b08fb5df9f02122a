"""Optimizers and learning-rate schedules, by timm: any optimizer timm knows, three schedules.

Schedules are pure functions of the step (timm's `step_update`), so a resumed run needs no state.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn
from torch.optim import Optimizer

from bench.config import TrainConfig
from bench.errors import unknown

STEP_DECAY = (0.5, 0.3)  # the step schedule: after this share of the budget, times this


# Whose step of an element depends on nothing but that element: one call does for a whole buffer.
ELEMENTWISE = frozenset(
    {"adam", "adamax", "adamw", "lion", "momentum", "nadam", "nadamw", "radam", "rmsprop", "sgd"}
)
FUSED = ("adam", "adamw")  # torch has them as one pass over memory


def known_optimizers() -> list[str]:
    from timm.optim import list_optimizers

    return list(list_optimizers())


def make_optimizer(parameters: Iterable[nn.Parameter], config: TrainConfig) -> Optimizer:
    """timm's optimizer of that name over the given parameters.

    Raises:
        BenchError: timm has no such optimizer.
    """
    from timm.optim import create_optimizer_v2

    if config.optimizer not in known_optimizers():
        raise unknown("optimizer", config.optimizer, known_optimizers())
    extra: dict[str, Any] = {"fused": True} if config.optimizer in FUSED else {}
    optimizer: Optimizer = create_optimizer_v2(
        list(parameters),
        opt=config.optimizer,
        lr=config.lr,
        weight_decay=config.weight_decay,
        **extra,
    )
    return optimizer


def make_schedule(optimizer: Optimizer, config: TrainConfig) -> Any:
    """timm's scheduler over all steps of the budget: linear ramp-up, then the named schedule."""
    from timm.scheduler import CosineLRScheduler, MultiStepLRScheduler

    total = config.budget_nimg // config.batch_size
    warmup = round(total * config.warmup_fraction)
    shared: dict[str, Any] = {
        "warmup_t": warmup,
        "warmup_lr_init": config.lr / max(warmup, 1),
        "warmup_prefix": False,  # milestones count from the start, as the budget does
        "t_in_epochs": False,
    }
    if config.schedule == "cosine":
        return CosineLRScheduler(optimizer, t_initial=total, lr_min=0.0, **shared)
    after, factor = STEP_DECAY
    # timm applies milestone m from step m - 1 on
    steps = [round(total * after) + 1] if config.schedule == "step" else []
    return MultiStepLRScheduler(optimizer, decay_t=steps, decay_rate=factor, **shared)
