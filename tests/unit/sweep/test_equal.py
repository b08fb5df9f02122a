"""Budgets that are equal in images, FLOPs or device-seconds."""

from __future__ import annotations

import dataclasses
import json
import statistics
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from backbones.inputs import Inputs
from bench.config import TaskConfig, TrialConfig
from bench.errors import BenchError
from bench.sweep.cost import equal, timing
from bench.sweep.cost.equal import Equal
from bench.sweep.cost.price import cost
from bench.sweep.cost.speed import Speed, fit
from bench.sweep.deciding.resolve import default_params, resolve
from bench.sweep.planning.plan_making import variants
from bench.workloads.echo import LAPTOP, SMOKE
from bench.workloads.workload import Scale
from tests.unit.sweep.fakes import frame, plan

ARCHITECTURES = SMOKE.choices.architectures
CELLS = [
    {"architecture": a, "preconditioning": p}
    for a in ARCHITECTURES
    for p in SMOKE.choices.preconditionings
]
MEMORY_OF: tuple[Any, float] = (lambda config: 1.0, 0.5)  # GB, TFLOP: of another kind


def default(scale: Scale, architecture: str) -> dict[str, Any]:
    cell = {"architecture": architecture, "preconditioning": "edm"}
    return default_params(scale, cell)


def configs(budget: Equal | None) -> list[TrialConfig]:
    return [resolve(frame(equal=budget), default_params(SMOKE, cell), 0) for cell in CELLS]


def flops(config: TrialConfig) -> int:
    return cost(config.task, config.method).training_flops


def test_equal_images() -> None:
    by_images = configs(Equal(kind="nimg", amount=0.5))
    batch = max(c.train.batch_size for c in by_images)
    assert all(500 - batch < c.train.budget_nimg <= 500 for c in by_images)


def test_equal_flops_is_what_a_preset_says() -> None:
    same = Equal(amount=SMOKE.budget_tflop)
    assert [c.entry_id for c in configs(same)] == [c.entry_id for c in configs(None)]
    for config in configs(None):
        spent = config.train.budget_nimg * flops(config)
        assert spent == pytest.approx(SMOKE.budget_tflop * 1e12, rel=0.2)  # whole batches of 8
        assert spent <= SMOKE.budget_tflop * 1e12


SPEED = {
    name: Speed(step=1e-3, image=2e-4, flop=1e-11 * (i + 1)) for i, name in enumerate(ARCHITECTURES)
}


def test_equal_seconds_follow_the_speed_of_each_architecture() -> None:
    for config in configs(Equal(kind="gpu-seconds", amount=2.0, speed=SPEED)):
        batch, speed = config.train.batch_size, SPEED[config.method.backbone]
        per_image = speed.step / batch + speed.image + speed.flop * flops(config)
        assert 2.0 - batch * per_image <= config.train.budget_nimg * per_image <= 2.0


def test_a_kilo_image_is_a_thousand() -> None:
    # 0.57 * 1000 is 569.9999999999999 in floating point: a whole batch less
    assert Equal(kind="nimg", amount=0.57).images("adm", 1, 10) == 570


def test_a_fit_finds_the_speeds_that_made_the_timings() -> None:
    truth = Speed(step=5e-3, image=3e-4, flop=2e-11)
    points = [(4_000_000, 8), (9_000_000, 8), (20_000_000, 8), (9_000_000, 32)]
    fitted = fit({point: truth.sec_per_image(*point) for point in points})
    assert dataclasses.astuple(fitted) == pytest.approx(dataclasses.astuple(truth), rel=1e-6)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_fit_to_few_timings_meets_them(count: int) -> None:
    points = dict(
        list({(4_000_000, 8): 2e-3, (4_000_000, 16): 1.8e-3, (9_000_000, 8): 3e-3}.items())[:count]
    )
    fitted = fit(points)
    for point, seconds in points.items():
        assert fitted.sec_per_image(*point) == pytest.approx(seconds)  # as many unknowns as timings


@given(
    st.lists(st.floats(1e-4, 1.0), min_size=4, max_size=4),
)
def test_no_fit_is_ever_negative(seconds: list[float]) -> None:
    points = [(4_000_000, 8), (9_000_000, 8), (20_000_000, 8), (9_000_000, 32)]
    fitted = fit(dict(zip(points, seconds, strict=True)))
    assert min(dataclasses.astuple(fitted)) >= 0
    assert all(fitted.sec_per_image(*point) > 0 for point in points)


def test_what_was_timed_is_near_what_the_fit_says() -> None:
    params = [default(SMOKE, "ddpmpp")]
    timed = [resolve(frame(), p, 0) for p in (*params, *variants(SMOKE, params))]
    assert len({(flops(c), c.train.batch_size) for c in timed}) == 4
    fitted = equal.timed(timed, flops, timing.sec_per_image)["ddpmpp"]
    for config in timed:
        again = timing.sec_per_image(config)
        predicted = fitted.sec_per_image(flops(config), config.train.batch_size)
        assert 0.2 < again / predicted < 5  # other work slows one timing, not its order


def test_widest_networks_and_largest_batches_can_be_timed() -> None:
    inputs = Inputs(spatial=LAPTOP.data["size"], channels=1, out_channels=1)
    laptop = frame(scale=LAPTOP, task=TaskConfig(kind="generate", inputs=inputs))
    timed = [resolve(laptop, v, 0) for v in variants(LAPTOP, [default(LAPTOP, "adm")])]
    widths = {width["width"] for width in LAPTOP.size("adm").widths.values()}
    assert {c.method.backbone_args["width"] for c in timed} == widths
    assert {c.train.batch_size for c in timed} == {16, 32}


def test_defaults_are_the_presets_own_in_another_unit() -> None:
    usual = configs(None)
    images = equal.choose("nimg", None, usual, [], flops, timing.sec_per_image, *MEMORY_OF)
    assert images.amount == statistics.median(c.train.budget_nimg for c in usual) / 1000
    assert "the preset's FLOPs" in images.notes[0]
    timed = equal.choose("gpu-seconds", None, usual, [], flops, timing.sec_per_image, *MEMORY_OF)
    assert timed.amount == float(f"{timed.amount:.1g}")
    assert set(timed.speed) == set(ARCHITECTURES)
    asked = equal.choose("gpu-seconds", 3.5, usual[:1], [], flops, timing.sec_per_image, *MEMORY_OF)
    assert (asked.amount, asked.derived) == (3.5, "")
    assert "predicted from steps timed" in asked.notes[0]


def test_a_gpu_that_is_not_here_cannot_be_timed() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    config = resolve(frame(device="cuda"), default(SMOKE, "adm"), 0)
    with pytest.raises(BenchError, match="no GPU here; start it on a node that has one"):
        timing.sec_per_image(config)


def test_an_architecture_that_was_not_timed() -> None:
    with pytest.raises(BenchError, match="adm was not timed"):
        Equal(kind="gpu-seconds", amount=1.0).images("adm", 1, 8)


def test_it_is_in_the_plan_and_comes_back() -> None:
    budget = Equal(kind="gpu-seconds", amount=2.0, speed=SPEED)
    assert equal.of_plan(plan(equal=json.loads(json.dumps(budget.record())))) == budget


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"kind": "flop", "amount": 1.0}, "did you mean 'flops'"),
        ({"kind": "nimg", "amount": 0.0}, "--budget must be positive"),
        ({"kind": "nimg", "amount": float("nan")}, "--budget must be positive"),
    ],
)
def test_what_is_no_budget(body: dict[str, Any], message: str) -> None:
    with pytest.raises(BenchError, match=message):
        Equal(**body)


def test_too_little_for_a_rung_is_said_in_its_unit() -> None:
    with pytest.raises(BenchError, match=r"a budget of 0\.005 kimg trains"):
        configs(Equal(kind="nimg", amount=0.005))


def test_memory_is_what_the_median_default_needs_and_trains_for_the_presets_flops() -> None:
    usual = [resolve(frame(), params, 0) for params in CELLS[:3]]
    needs = dict(zip(map(id, usual), (0.2, 0.31, 0.9), strict=True))
    rest: Any = ([], lambda config: 1, timing.sec_per_image, lambda config: needs[id(config)], 0.5)
    derived = equal.choose(equal.MEMORY, None, usual, *rest)
    assert (derived.amount, derived.tflop) == (0.31, 0.5)
    assert derived.images("adm", 10**9, 8) == 500
    assert "median default" in " ".join(derived.notes)
    assert equal.choose(equal.MEMORY, 4.0, usual, *rest).text == "4 GB"
