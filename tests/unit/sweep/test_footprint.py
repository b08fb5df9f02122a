"""Predicted memory: counts with known answers, monotone in what costs memory, and what fits."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn

from bench.config import TrialConfig
from bench.sweep import footprint, slots
from bench.sweep.footprint import _Alive
from bench.sweep.resolve import cost
from tests.measure.memory import config


def small(batch: int = 8, width: int = 16) -> TrialConfig:
    return config("ddpmpp", width, 32, batch, "cpu")


def gb(told: TrialConfig) -> footprint.Footprint:
    return footprint.predict(told)


def test_what_is_alive_at_once_is_counted_exactly() -> None:
    """Of a chain of three layers two results live at a time; a view is no memory of its own."""
    with torch.device("meta"):
        net = nn.Sequential(nn.Linear(10, 100), nn.Linear(100, 200), nn.Linear(200, 50))
        x = torch.zeros(1, 10)
    with torch.no_grad(), _Alive() as alive:
        kept = net(x).view(50, 1).t()
    assert alive.most == 4 * (100 + 200)  # then 200 + 50
    assert alive.now == 4 * 50
    del kept
    assert alive.now == 0


def test_the_state_is_counted_from_the_parameters() -> None:
    told = small()
    size = cost(told.task, told.method).parameters * 4
    copies = 1 + 2 + 3  # weights, Adam's moments, three averages
    assert gb(told).state_gb * 1e9 == pytest.approx(size * (2 * copies + 1))


def test_activations_grow_linearly_with_the_micro_batch() -> None:
    told = small(32)
    half = dataclasses.replace(told, train=dataclasses.replace(told.train, micro_batch=16))
    assert gb(told).training_gb == pytest.approx(2 * gb(half).training_gb)
    assert gb(told).state_gb == gb(half).state_gb


def test_bf16_halves_activations_and_nothing_else() -> None:
    told = small()
    bf16 = dataclasses.replace(told, train=dataclasses.replace(told.train, precision="bfloat16"))
    assert gb(bf16).training_gb == pytest.approx(gb(told).training_gb / 2)
    assert gb(bf16).state_gb == gb(told).state_gb


def test_fit_takes_the_largest_micro_batch_that_fits() -> None:
    told = config("ncsnpp", 64, 64, 64, "cpu")
    whole = gb(told).peak_gb
    assert footprint.fit(told, whole) == told
    found = footprint.fit(told, whole * 0.7)
    assert found is not None
    assert found.train.batch_size == told.train.batch_size
    assert 64 % found.train.micro_batch == 0
    assert gb(found).peak_gb <= whole * 0.7
    twice = dataclasses.replace(found.train, micro_batch=2 * found.train.micro_batch)
    assert gb(dataclasses.replace(found, train=twice)).peak_gb > whole * 0.7


def test_fit_then_draws_fewer_pictures_at_once() -> None:
    told = config("small_unet", 64, 64, 4, "cpu")
    big = dataclasses.replace(told, sample=dataclasses.replace(told.sample, batch_size=4096))
    limit = gb(told).peak_gb
    found = footprint.fit(big, limit)
    assert found is not None
    assert found.sample.batch_size < 4096
    assert gb(found).peak_gb <= limit


def test_what_cannot_fit_is_none() -> None:
    told = small()
    assert footprint.fit(told, gb(told).base_gb) is None


def test_a_machine_is_shared_with_something_kept_back() -> None:
    assert footprint.share_gb(20.0 + footprint.RESERVE_GB, 4) == 5.0
    assert footprint.share_gb(1.0, 2) == 0.0
    assert 0 < footprint.host_gb() < 10_000


@pytest.mark.parametrize(
    ("peak", "share"), [(1.0, 0.125), (9.0, 0.125), (9.2, 0.25), (36.0, 0.5), (60, 1), (99, 1)]
)
def test_the_smallest_slot_that_holds_it(peak: float, share: float) -> None:
    assert slots.slot(peak, 80.0) == share
    assert slots.MOST == 8
