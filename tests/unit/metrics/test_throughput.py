"""Seconds on an injected clock, and a memory peak that forgets earlier trials."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bench.metrics.throughput import MemoryGauge, Stopwatch


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_seconds_and_rates() -> None:
    clock = Clock()
    watch = Stopwatch(clock=clock)
    for _ in range(2):
        with watch.phase("train") as add:
            clock.now += 4
            add(32)
            add(32)
        clock.now += 50  # between phases counts nowhere
    with watch.phase("sample") as add:
        clock.now += 5
        add(20)
    with watch.phase("measure"):
        clock.now += 1
    got = watch.read()
    assert (got.train_sec, got.sample_sec, got.measure_sec) == (8, 5, 1)
    assert (got.train_images, got.sample_images) == (128, 20)
    assert got.train_img_per_sec == 16
    assert got.sample_img_per_sec == 4
    assert got.sample_sec_per_img == 0.25


def test_nothing_done_has_no_rate() -> None:
    got = Stopwatch().read()
    assert got.train_img_per_sec is got.sample_img_per_sec is got.sample_sec_per_img is None


def test_a_failed_phase_still_counts() -> None:
    clock = Clock()
    watch = Stopwatch(clock=clock)

    def step() -> None:
        clock.now += 3
        raise RuntimeError

    with pytest.raises(RuntimeError), watch.phase("train"):
        step()
    assert watch.read().train_sec == 3
    with watch.phase("sample"):  # and the next one may start
        pass


def test_phases_do_not_nest() -> None:
    watch = Stopwatch()
    inside = pytest.raises(ValueError, match="sample starts inside train")
    with watch.phase("train"), inside, watch.phase("sample"):
        pass


def test_unknown_phase() -> None:
    refused = pytest.raises(ValueError, match="none of train, sample, measure")
    with refused, Stopwatch().phase("nap"):  # type: ignore[arg-type]  # the mistake under test
        pass


def test_goes_on_after_a_resume() -> None:
    clock = Clock()
    first = Stopwatch(clock=clock)
    with first.phase("train") as add:
        clock.now += 4
        add(64)
    second = Stopwatch(clock=clock)
    second.restore(json.loads(json.dumps(first.state())))
    with second.phase("train") as add:
        clock.now += 4
        add(64)
    assert second.read().train_sec == 8
    assert second.read().train_images == 128


def touch(mb: int) -> None:
    np.ones(mb * 1_000_000, np.uint8).sum()


def test_peak_is_this_trials() -> None:
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pytest.skip("this system does not let a process reset its high-water mark")
    touch(400)
    gauge = MemoryGauge()
    before = gauge.read()
    touch(200)
    after = gauge.read()
    assert before.gb is not None
    assert after.gb is not None
    # 0.2 GB of fresh pages on top of what is resident, and the 0.4 GB before are forgotten
    assert 0.15 < after.gb - before.gb < 0.3
    assert "reset at the trial's start" in after.note


def test_what_a_step_holds_is_told_from_what_was_held_before() -> None:
    gauge = MemoryGauge()
    if gauge.read().note.endswith("process life"):
        pytest.skip("this system does not let a process reset its high-water mark")
    held = np.ones(200_000_000, np.uint8)
    with gauge.training():
        touch(300)
    assert gauge.step_gb == pytest.approx(0.3, abs=0.03)
    with gauge.training():
        touch(100)
    assert gauge.step_gb == pytest.approx(0.1, abs=0.03)  # of the last stretch
    known = gauge.metrics(state_bytes=50_000_000)
    assert known["throughput/training_mem_gb"] == pytest.approx(0.15, abs=0.03)
    assert known["throughput/peak_mem_gb"] > 0.5 * held.nbytes / 1e9 + 0.3  # of the first


def test_says_when_it_is_not_reset(tmp_path: Path) -> None:
    (tmp_path / "status").write_text("Name:\tx\nVmHWM:\t  2000000 kB\n")
    got = MemoryGauge(proc=tmp_path / "missing").read()
    assert got.gb is not None
    assert got.gb > 0.01  # getrusage
    assert "not reset" in got.note
    (tmp_path / "clear_refs").mkdir()  # cannot be written
    got = MemoryGauge(proc=tmp_path).read()
    assert got.gb == pytest.approx(2.048)
    assert "not reset" in got.note
