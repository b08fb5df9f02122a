"""What is kept of a machine: found by the next process, and only where it still holds."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from backbones import counting
from bench.sweep.cost import kept as kept_results
from bench.sweep.cost import price, timing
from bench.sweep.cost.kept import Kept, NotKept
from bench.sweep.cost.machine import find_machine
from bench.sweep.deciding.resolve import resolve
from tests.unit.sweep.fakes import frame, plan


def opened(path: Path, *, make_missing: bool = True) -> Kept:
    kept = Kept(make_missing=make_missing)
    kept.lie_in(path)
    return kept


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many steps were timed at once, each time; none takes any time."""
    timed: list[int] = []

    def step(trainings: Sequence[timing.Training]) -> float:
        timed.append(len(trainings))
        return 0.25

    monkeypatch.setattr(timing, "_step", step)
    return timed


def test_a_network_is_timed_once_in_two_processes(tmp_path: Path, steps: list[int]) -> None:
    config = resolve(frame(), plan().defaults[0], 0)
    first = timing.paces([config], kept=opened(tmp_path / "timed.json"))
    assert len(steps) == 1
    later = opened(tmp_path / "timed.json", make_missing=False)
    assert timing.paces([config], kept=later) == first
    assert len(steps) == 1
    assert later.oldest is not None


@pytest.mark.parametrize(
    "change", [{"threads": 2}, {"optimizer": "adamw"}, {"precision": "bfloat16"}]
)
def test_another_kind_of_step_is_timed_anew(
    tmp_path: Path, steps: list[int], change: dict[str, object]
) -> None:
    config = resolve(frame(), plan().defaults[0], 0)
    known = opened(tmp_path / "timed.json")
    timing.paces([config], kept=known)
    other = dataclasses.replace(config, train=dataclasses.replace(config.train, **change))
    known.make_missing = False
    with pytest.raises(NotKept):
        timing.paces([other], kept=known)
    with pytest.raises(NotKept):
        timing.paces([config], 2, kept=known)  # two at once


def test_another_machine_torch_or_code_has_a_file_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = find_machine(1)
    software = {"code": "1", "torch": "2.7", "timm": "1"}
    monkeypatch.setattr(kept_results, "_software", lambda: dict(software))

    def known(device: str = "a processor") -> bool:
        here = dataclasses.replace(machine, device_name=device)
        kept = kept_results.timings_of(here, tmp_path, afresh=False, make_missing=False)
        try:
            return bool(kept.once({"step": 1}, list))
        except NotKept:
            return False

    here = dataclasses.replace(machine, device_name="a processor")
    made = kept_results.timings_of(here, tmp_path, afresh=False, make_missing=True)
    made.once({"step": 1}, lambda: 0.5)
    assert known()
    assert not known("another processor")
    software["torch"] = "2.8"
    assert not known()
    software["torch"] = "2.7"
    kept_results.timings_of(here, tmp_path, afresh=True, make_missing=False)
    assert not known()


@pytest.mark.parametrize("content", ["{", "[]", '{"a": 1}', json.dumps({"a": {"made": 1.0}})])
def test_a_damaged_file_is_made_again(tmp_path: Path, content: str) -> None:
    path = tmp_path / "timed.json"
    path.write_text(content)
    assert opened(path).once({"b": 1}, lambda: 2) == 2
    assert opened(path, make_missing=False).once({"b": 1}, lambda: 3) == 2


def test_a_network_is_counted_once_in_two_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = resolve(frame(), plan().defaults[0], 0)
    monkeypatch.setattr(price, "COUNTED", opened(tmp_path / "counted.json"))
    price._cost.cache_clear()
    counted = price.cost(config.task, config.method)
    monkeypatch.setattr(price, "COUNTED", opened(tmp_path / "counted.json", make_missing=False))
    price._cost.cache_clear()
    assert price.cost(config.task, config.method) == counted
    net = price.unbuilt(config.task, config.method)
    assert counted.forward_flops == counting.forward_flops(net)
    assert counted.training_flops == counting.training_flops(net)
