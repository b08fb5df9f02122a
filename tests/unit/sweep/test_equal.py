"""Budgets that are equal in images, FLOPs or device-seconds."""

from __future__ import annotations

import statistics
from typing import Any

import pytest

from bench.config import TrialConfig
from bench.errors import BenchError
from bench.sweep import equal
from bench.sweep.equal import Equal
from bench.sweep.resolve import cost, default_params, resolve
from bench.workloads.echo import SMOKE
from tests.unit.sweep.fakes import frame

CELLS = [(a, p) for a in SMOKE.sizes for p in SMOKE.choices.preconditionings]


def configs(budget: Equal | None) -> list[TrialConfig]:
    return [resolve(frame(equal=budget), default_params(SMOKE, a, p), 0) for a, p in CELLS]


def flops(config: TrialConfig) -> int:
    return cost(config.task, config.method).training_flops


def test_equal_images() -> None:
    found = configs(Equal(kind="nimg", amount=0.5))
    batch = max(c.train.batch_size for c in found)
    assert all(500 - batch < c.train.budget_nimg <= 500 for c in found)


def test_equal_flops_is_what_a_preset_says() -> None:
    same = Equal(amount=SMOKE.budget_tflop)
    assert [c.entry_id for c in configs(same)] == [c.entry_id for c in configs(None)]
    for config in configs(None):
        spent = config.train.budget_nimg * flops(config)
        assert spent == pytest.approx(SMOKE.budget_tflop * 1e12, rel=0.2)  # whole batches of 8
        assert spent <= SMOKE.budget_tflop * 1e12


def test_equal_seconds_follow_the_speed_of_each_architecture() -> None:
    speed = {name: 1e-11 * (i + 1) for i, name in enumerate(SMOKE.sizes)}
    for config in configs(Equal(kind="gpu-seconds", amount=2.0, sec_per_flop=speed)):
        per_image = flops(config) * speed[config.method.backbone]
        batch = config.train.batch_size
        assert 2.0 - batch * per_image <= config.train.budget_nimg * per_image <= 2.0


def test_defaults_are_the_presets_own_in_another_unit() -> None:
    usual = configs(None)
    prices = [flops(c) for c in usual]
    images = equal.choose("nimg", None, usual, prices)
    assert images.amount == statistics.median(c.train.budget_nimg for c in usual) / 1000
    timed = equal.choose("gpu-seconds", None, usual, prices)
    assert timed.amount > 0
    assert set(timed.sec_per_flop) == set(SMOKE.sizes)
    asked = equal.choose("gpu-seconds", 3.5, usual, prices)
    assert asked.amount == 3.5


def test_it_is_in_the_plan_and_comes_back() -> None:
    budget = Equal(kind="gpu-seconds", amount=2.0, sec_per_flop={"adm": 1e-9})
    assert equal.of_plan({"equal": budget.record()}) == budget
    assert equal.of_plan({"equal": None}) is None
    assert equal.of_plan({}) is None  # a journal from before there was a choice


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"kind": "flop", "amount": 1.0}, "did you mean 'flops'"),
        ({"kind": "nimg", "amount": 0.0}, "--budget must be positive"),
        ({"kind": "nimg", "amount": float("nan")}, "--budget must be positive"),
    ],
)
def test_what_is_no_budget(body: dict[str, Any], said: str) -> None:
    with pytest.raises(BenchError, match=said):
        Equal(**body)


def test_too_little_for_a_rung_is_said_in_its_unit() -> None:
    with pytest.raises(BenchError, match=r"a budget of 0\.005 kimg trains"):
        configs(Equal(kind="nimg", amount=0.005))
