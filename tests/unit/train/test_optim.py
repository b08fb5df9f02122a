"""Learning rates against closed forms; optimizers by name."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
import torch

from bench.errors import BenchError
from bench.train.optim import known_optimizers, make_optimizer, make_schedule
from tests.fakes.trials import tiny

LR, STEPS = 2e-3, 100


def curve(**changes: Any) -> list[float]:
    """The learning rate of every step of a run of 100 steps of 8 images."""
    shape = {"train.budget_nimg": 800, "train.rungs_nimg": (800,), "train.lr": LR}
    config = tiny(**{**shape, **{f"train.{k}": v for k, v in changes.items()}}).train
    optimizer = make_optimizer([torch.nn.Parameter(torch.zeros(2))], config)
    schedule = make_schedule(optimizer, config)
    rates = []
    for step in range(STEPS):
        schedule.step_update(step)
        rates.append(optimizer.param_groups[0]["lr"])
    return rates


def ramp(step: int, warmup: int) -> float:
    """Linear from lr/warmup to lr, which step `warmup` is the first to have in full."""
    return LR / warmup + step * (LR - LR / warmup) / warmup


def test_constant_with_ramp() -> None:
    rates = curve(schedule="constant", warmup_fraction=0.2)
    assert rates[:20] == pytest.approx([ramp(k, 20) for k in range(20)], rel=1e-12)
    assert rates[20:] == [LR] * 80
    assert all(a < b for a, b in pairwise(rates[:21]))


def test_constant_without_ramp() -> None:
    assert curve(schedule="constant", warmup_fraction=0.0) == [LR] * STEPS


def test_cosine() -> None:
    rates = curve(schedule="cosine", warmup_fraction=0.05)
    closed = [LR * (1 + math.cos(math.pi * k / STEPS)) / 2 for k in range(STEPS)]
    assert rates[5:] == pytest.approx(closed[5:], rel=1e-12)
    assert rates[:5] == pytest.approx([ramp(k, 5) for k in range(5)], rel=1e-12)
    assert rates[-1] < 1e-3 * LR  # of the run's last step


def test_step() -> None:
    """After half of the budget, 0.3 of the rate."""
    rates = curve(schedule="step", warmup_fraction=0.05)
    assert rates[5:50] == [LR] * 45
    assert rates[50:] == pytest.approx([0.3 * LR] * 50, rel=1e-12)


@pytest.mark.parametrize("schedule", ["constant", "cosine", "step"])
def test_the_rate_is_a_function_of_the_step_alone(schedule: str) -> None:
    """What a resumed run relies on."""
    config = tiny(**{"train.schedule": schedule}).train
    optimizer = make_optimizer([torch.nn.Parameter(torch.zeros(2))], config)
    late = make_schedule(optimizer, config)
    late.step_update(6)
    fresh = optimizer.param_groups[0]["lr"]
    for step in (0, 3, 5, 6):
        late.step_update(step)
    assert optimizer.param_groups[0]["lr"] == fresh


@pytest.mark.parametrize(("name", "kind"), [("adam", "Adam"), ("adamw", "AdamW"), ("sgd", "SGD")])
def test_optimizers_by_name(name: str, kind: str) -> None:
    config = tiny(**{"train.optimizer": name, "train.weight_decay": 0.25}).train
    optimizer = make_optimizer([torch.nn.Parameter(torch.zeros(2))], config)
    assert type(optimizer).__name__ == kind
    assert optimizer.param_groups[0]["weight_decay"] == 0.25
    assert optimizer.param_groups[0]["lr"] == config.lr


def test_one_step_of_adam() -> None:
    """The first step of Adam is lr * sign(g) but for eps: Kingma and Ba 2015, section 2.1."""
    p = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    optimizer = make_optimizer([p], tiny(**{"train.lr": 0.5}).train)
    p.grad = torch.tensor([0.1, -3.0])
    optimizer.step()
    torch.testing.assert_close(p.detach(), torch.tensor([0.5, -1.5]), rtol=1e-6, atol=0)


def test_unknown_optimizer_says_the_nearest() -> None:
    with pytest.raises(BenchError, match="unknown optimizer 'adamm'; did you mean 'adam"):
        make_optimizer([], tiny(**{"train.optimizer": "adamm"}).train)
    assert {"adam", "adamw"} <= set(known_optimizers())
