"""Memory held equal: networks as wide as fits, all trained for the preset's FLOPs."""

from __future__ import annotations

import dataclasses

import pytest

from bench.errors import BenchError
from bench.sweep.cost.equal import MEMORY, Equal
from bench.sweep.cost.footprint import predict
from bench.sweep.cost.widest import widest, width_step
from bench.sweep.deciding.resolve import resolve
from tests.unit.sweep import fakes

PARAMS = {"architecture": "ddpmpp", "preconditioning": "edm"}


@pytest.mark.parametrize("most", [2, 3, 4, 17, 64, 1000])
def test_the_largest_width_that_fits_is_found(most: int) -> None:
    tried: list[int] = []

    def fits(width: int) -> bool:
        tried.append(width)
        return width <= most

    assert widest(fits, 1) == most
    assert len(tried) <= 25


def test_widths_are_multiples_of_the_step_and_may_not_fit_at_all() -> None:
    assert widest(lambda width: width <= 30, 8) == 24
    assert widest(lambda width: False, 8) is None
    assert width_step({"groups": 8}) == 8
    assert width_step({"groups": 0}) == width_step({}) == 4


def test_networks_fill_the_memory_and_train_for_the_same_flops() -> None:
    tflop = fakes.frame().scale.budget_tflop
    equal = Equal(kind=MEMORY, amount=0.015, tflop=tflop)
    frame = dataclasses.replace(fakes.frame(), equal=equal)
    peaks = {}
    for batch in (8, 16):
        config = resolve(frame, {**PARAMS, "batch_size": batch}, 0)
        peaks[batch] = predict(config).training_peak_gb
        assert peaks[batch] <= equal.amount
        wider = dict(config.method.backbone_args)
        wider["width"] += width_step(wider)
        method = dataclasses.replace(config.method, backbone_args=wider)
        assert predict(dataclasses.replace(config, method=method)).training_peak_gb > equal.amount
    narrow = resolve(frame, {**PARAMS, "batch_size": 16}, 0).method.backbone_args["width"]
    assert narrow < resolve(frame, {**PARAMS, "batch_size": 8}, 0).method.backbone_args["width"]


def test_where_a_batch_does_not_fit_it_is_trained_in_parts() -> None:
    tflop = fakes.frame().scale.budget_tflop
    params = {**PARAMS, "batch_size": 16}
    equal = Equal(kind=MEMORY, amount=0.015, tflop=tflop)
    whole = resolve(dataclasses.replace(fakes.frame(), equal=equal), params, 0)
    narrowest = dataclasses.replace(
        whole.method, backbone_args={**whole.method.backbone_args, "width": 4}
    )
    needed = predict(dataclasses.replace(whole, method=narrowest)).training_peak_gb
    less = dataclasses.replace(equal, amount=needed * 0.9)
    parted = resolve(dataclasses.replace(fakes.frame(), equal=less), params, 0)
    assert (whole.train.micro_batch, parted.train.batch_size) == (16, 16)
    assert parted.train.micro_batch < 16
    assert predict(parted).training_peak_gb <= less.amount


def test_too_little_memory_is_said() -> None:
    frame = dataclasses.replace(
        fakes.frame(), equal=Equal(kind=MEMORY, amount=1e-6, tflop=fakes.frame().scale.budget_tflop)
    )
    with pytest.raises(BenchError, match="not even 4 channels and one case at a time fit"):
        resolve(frame, PARAMS, 0)
