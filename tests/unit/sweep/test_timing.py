"""Timing: real numbers of each architecture, large steps in part, and no GPU without a word."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch

from bench.sweep.cost import host, timing
from bench.sweep.deciding.resolve import resolve
from tests.unit.sweep.fakes import frame, plan


def test_each_architecture_gets_a_pace_of_its_own() -> None:
    defaults = plan().defaults
    configs = [resolve(frame(), params, 0) for params in defaults[:2]]
    wide = {**defaults[0], "width": "wide", "batch_size": 16}
    paces = timing.paces([*configs, resolve(frame(), wide, 0)])
    assert set(paces) == {"adm", "ddpmpp"}
    for pace in paces.values():
        for speed in (pace.train, pace.forward):
            seconds = speed.sec_per_image(10**8, 8)
            assert math.isfinite(seconds)
            assert seconds > 0


@pytest.mark.parametrize("given", [{"lr": 1e3}, {"weight_decay": 1e30}, {"P_mean": 300.0}])
def test_a_step_that_diverges_is_timed(given: dict[str, float]) -> None:
    edm = next(p for p in plan().defaults if p["preconditioning"] == "edm")
    seconds = timing.sec_per_image(resolve(frame(), {**edm, **given}, 0))
    assert math.isfinite(seconds)
    assert seconds > 0


def test_a_large_step_is_timed_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    batch = timing.Blank.batch

    def spied(self: timing.Blank, samples: range, seed: int) -> object:
        seen.append(len(samples))
        return batch(self, samples, seed)

    monkeypatch.setattr(timing.Blank, "batch", spied)
    config = resolve(frame(), plan().defaults[0], 0)
    timing.paces([config])
    assert max(seen) > 1
    seen.clear()
    monkeypatch.setitem(timing.STEP_FLOP, "cpu", 1.0)
    timing.paces([config])
    assert set(seen) == {1}


def test_as_many_work_at_once_as_processes_will(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    mean = timing._mean
    monkeypatch.setattr(host, "cores", lambda: 3)

    def spied(train: Any, works: Sequence[Callable[[], object]]) -> float:
        seen.append(len(works))
        meet = threading.Barrier(len(works))

        def together(work: Callable[[], object]) -> None:
            meet.wait(20)  # breaks unless all are at work
            work()

        return mean(train, [lambda work=work: together(work) for work in works])

    monkeypatch.setattr(timing, "_mean", spied)
    config = resolve(frame(), plan().defaults[0], 0)
    timing.paces([config], 64)  # of a cluster, say; here are three cores
    assert set(seen) == {3}
    seen.clear()
    timing.paces([config], 2)
    assert set(seen) == {2}
    seen.clear()
    monkeypatch.setitem(timing.STEP_FLOP, "cpu", 1.0)  # of so large networks one is enough
    timing.paces([config], 3)
    assert set(seen) == {1}


@pytest.mark.skipif(torch.cuda.is_available(), reason="only where there is no GPU")
def test_a_gpu_that_is_not_here_is_assumed() -> None:
    config = resolve(frame(device="cuda"), plan().defaults[0], 0)
    assert timing.absent(config)
    assert timing.paces([config]) == {"adm": timing.Pace.assumed()}


def test_measuring_is_timed() -> None:
    config = resolve(frame(), plan().defaults[0], 0)
    assert 0 < timing.measuring_sec(config) < 1
