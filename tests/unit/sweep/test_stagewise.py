"""The paper's protocol as a search: one axis after the other, whatever runs beside or is killed."""

from __future__ import annotations

import math
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest

from bench.config import TrialConfig
from bench.console.stage_lines import stage_lines
from bench.sweep.deciding.resolve import default_params
from bench.sweep.deciding.stagewise import VALUES
from bench.sweep.running.engine import Engine
from bench.workloads.echo import SMOKE
from tests.unit.sweep.fakes import World, drive, finished, open_engine, plan, smooth

CHOICES = SMOKE.choices
STAGEWISE: dict[str, Any] = {"search": "stagewise", "prune": False, "trials": 40}


def valley(config: TrialConfig, rung: int) -> float:
    """Best for NCSN++ with VP at 2e-3 and little dropout, each on its own."""
    wrong = (config.method.backbone != "ncsnpp") + (config.method.preconditioning != "vp")
    off = abs(math.log10(config.train.lr / 2e-3)) + config.method.backbone_args.get("dropout", 0.0)
    return (1.0 + wrong + off) / (rung + 1)


def params(engine: Engine) -> list[dict[str, Any]]:
    return [trial.suggestion.params for trial in engine.history.trials.values()]


def test_an_axis_is_varied_alone_from_the_best_so_far(tmp_path: Path) -> None:
    engine = finished(tmp_path, World(valley), **STAGEWISE)
    trials = list(engine.history.trials.values())
    assert {t.outcome for t in trials} == {"completed"}
    assert {t.suggestion.origin for t in trials} == {"stage"}
    architectures, setups = CHOICES.architectures, CHOICES.preconditionings
    first = trials[: len(architectures)]
    assert [t.cell["architecture"] for t in first] == list(architectures)
    assert {t.cell["preconditioning"] for t in first} == {setups[0]}
    second = trials[len(architectures) : len(architectures) + len(setups) - 1]
    assert [t.cell["preconditioning"] for t in second] == list(setups[1:])
    assert {t.cell["architecture"] for t in second} == {"ncsnpp"}
    defaults = [trial.suggestion.params for trial in (*first, *second)]
    assert all(one in plan().defaults for one in defaults)
    done = len(defaults)
    while done < len(trials) - VALUES:  # whole stages
        base = min(trials[:done], key=lambda t: t.rungs[1]).suggestion.params
        name = trials[done].suggestion.stage
        axis = name.partition(",")[0]
        stage = list(takewhile(lambda t, name=name: t.suggestion.stage == name, trials[done:]))
        usual = {**SMOKE.defaults, **default_params(SMOKE, trials[done].cell)}
        for trial in stage:
            mine = trial.suggestion.params
            assert {k for k in base if k in mine and mine[k] != base[k]} == {axis}
            brought = {k: v for k, v in mine.items() if k not in base}
            assert brought.items() <= usual.items()
        done += len(stage)
    learned = [t.suggestion.params["lr"] for t in trials if t.suggestion.stage == "lr"]
    assert len(learned) >= VALUES
    low, high = CHOICES.lr
    shares = [math.log(lr / low) / math.log(high / low) for lr in learned[:VALUES]]
    assert [math.floor(VALUES * share) for share in shares] == list(range(VALUES))


def test_workers_wait_until_a_stage_has_ended(tmp_path: Path) -> None:
    alone = finished(tmp_path / "alone", World(valley), **STAGEWISE)
    engine = open_engine(tmp_path / "many", plan(**STAGEWISE, concurrency=6))
    at_once = []
    engine.listeners = (lambda record: at_once.append(len(engine.running)),)
    drive(engine, World(valley))
    assert params(engine) == params(alone)
    assert engine.complete
    assert max(at_once) == max(len(CHOICES.architectures), VALUES)


@pytest.mark.parametrize("steps", [1, 7, 20, 55])
def test_stopped_and_gone_on_with_it_tries_the_same(tmp_path: Path, steps: int) -> None:
    whole = finished(tmp_path / "whole", World(valley), **STAGEWISE)
    world = World(valley)
    engine = open_engine(tmp_path / "cut", plan(**STAGEWISE, concurrency=2))
    drive(engine, world, at_most=steps)
    engine.stop("stopped by the user")
    engine.journal.close()
    again = open_engine(tmp_path / "cut")
    drive(again, world)
    assert params(again) == params(whole)


def test_it_misses_what_two_axes_have_together_alone(tmp_path: Path) -> None:
    """Best is the small U-Net with VE, and each of them alone is the worst."""

    def together(config: TrialConfig, rung: int) -> float:
        halves = (config.method.backbone == "small_unet") + (config.method.preconditioning == "ve")
        return {0: 2.0, 1: 3.0, 2: 1.0}[halves]

    engine = finished(tmp_path, World(together), **STAGEWISE)
    assert not any(t.cell["preconditioning"] == "ve" and t.cell["architecture"] == "small_unet"
                   for t in engine.history.trials.values())  # fmt: skip
    usual = finished(tmp_path / "usual", World(together), trials=40)
    best = usual.history.best()
    assert best is not None
    assert tuple(best.cell.values()) == ("small_unet", "ve")


def test_where_nothing_completes_it_goes_on_from_the_first_default(tmp_path: Path) -> None:
    engine = finished(tmp_path, World(lambda config, rung: "diverged"), **STAGEWISE)
    assert len(engine.history.trials) == STAGEWISE["trials"]
    assert {t.cell["architecture"] for t in list(engine.history.trials.values())[4:6]} == {"adm"}


def test_with_nothing_left_to_vary_the_best_gets_new_seeds(tmp_path: Path) -> None:
    fixed = {key: value for key, value in plan().defaults[0].items() if key != "architecture"}
    few = {**STAGEWISE, "trials": 7, "fixed": fixed}
    engine = finished(tmp_path, World(valley), **few)
    seeds = [t.suggestion for t in list(engine.history.trials.values())[4:]]
    assert {one.stage for one in seeds} == {"seed"}
    assert len({one.entry_id for one in seeds}) == 1
    assert len({one.seed for one in seeds}) == 3


def test_each_stage_has_its_line(tmp_path: Path) -> None:
    engine = finished(tmp_path, World(valley), **STAGEWISE)
    head, first, second, *_ = stage_lines(engine.history)
    assert "fd_fake" in head
    assert first.startswith("stage architecture: adm ")
    assert first.endswith("; ncsnpp is kept")
    assert second.endswith("; vp is kept")
    assert stage_lines(finished(tmp_path / "usual", World(smooth), trials=3).history) == []
