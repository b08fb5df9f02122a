"""Forecasts: adding up with known costs, budgets filled, and what was beside what was forecast."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.metrics.denoising_metric import SIGMAS
from bench.sweep.cost import budget, slots, timing
from bench.sweep.cost.price import cost
from bench.sweep.cost.speed import Speed
from bench.sweep.cost.timing import Pace
from bench.sweep.deciding.promote import FINALISTS
from bench.sweep.deciding.resolve import resolve
from bench.sweep.planning import forecast
from bench.sweep.planning.forecast import Forecast
from bench.sweep.planning.paper_sweep import (
    CLOSE_SEC,
    GAP_SEC,
    IMPORT_SEC,
    OPEN_SEC,
    TRIAL_SEC,
    Job,
    PaperSweep,
)
from bench.sweep.record.plan import SweepBudget
from tests.unit.sweep.fakes import SMOKE, World, finished, frame, plan, smooth

FREE = Speed(step=0.0, image=0.0, flop=0.0)
PICTURE = 0.25  # seconds that measuring a picture takes, where nothing else costs anything
ARCHITECTURES = SMOKE.choices.architectures
WHOLE = (3 * SMOKE.n_select + SMOKE.n_report) * PICTURE + TRIAL_SEC  # of a full trial, then


@pytest.fixture
def only_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every trial costs the same: what measuring its pictures takes."""
    known(monkeypatch, Pace(train=FREE, forward=FREE), PICTURE)


def known(monkeypatch: pytest.MonkeyPatch, pace: Pace, picture_sec: float) -> None:
    paces = dict.fromkeys(ARCHITECTURES, pace)
    monkeypatch.setattr(timing, "paces", lambda configs, places, kept: paces)
    monkeypatch.setattr(timing, "measuring_sec", lambda config: picture_sec)


def forecast_of(**changes: Any) -> Forecast:
    return forecast.forecast(plan(**{"prune": False, **changes}), frame())


def test_one_trial_costs_what_its_phases_do(monkeypatch: pytest.MonkeyPatch) -> None:
    train, forward = Speed(step=0.1, image=0.02, flop=1e-9), Speed(step=0.3, image=0.0, flop=2e-9)
    known(monkeypatch, Pace(train=train, forward=forward), 0.01)
    config = resolve(frame(), plan().defaults[0], 0)
    price, measure = cost(config.task, config.method), config.measure
    steps = config.train.budget_nimg / config.train.batch_size
    images = config.train.budget_nimg
    training = 0.1 * steps + 0.02 * images + 1e-9 * price.training_flops * images
    one = 0.3 / measure.n_select + 2e-9 * price.forward_flops  # all are drawn at once
    nfe = 2 * config.sample.steps - 1  # Heun's
    drawn = 3 * measure.n_select + measure.n_report  # three rungs, and the last look
    looking = drawn * (nfe * one + 0.01)
    denoising = 4 * SMOKE.measure["n_denoise"] * len(SIGMAS) * one
    expected = forecast_of(trials=1)
    whole = training + looking + denoising + TRIAL_SEC
    of_plan = plan(forecast=dataclasses.asdict(expected))
    assert forecast.predict_sec(config, of_plan) == pytest.approx(whole)
    assert forecast.predict_sec(config, plan()) is None
    assert expected.core_seconds == pytest.approx(whole + IMPORT_SEC)
    assert expected.wall_seconds == pytest.approx(OPEN_SEC + whole + IMPORT_SEC + CLOSE_SEC)


def test_trials_one_after_another_and_beside_each_other(only_pictures: None) -> None:
    one = forecast_of(trials=10)
    assert one.core_seconds == pytest.approx(10 * WHOLE + IMPORT_SEC)
    taken = 10 * WHOLE + IMPORT_SEC + 9 * GAP_SEC
    assert one.wall_seconds == pytest.approx(OPEN_SEC + taken + CLOSE_SEC)
    assert one.trials_to_rung == [10, 10, 10]
    two = forecast_of(trials=10, concurrency=2)
    assert two.core_seconds == pytest.approx(10 * WHOLE + 2 * IMPORT_SEC)
    taken = 5 * WHOLE + IMPORT_SEC + 4 * GAP_SEC
    assert two.wall_seconds == pytest.approx(OPEN_SEC + taken + CLOSE_SEC)


def test_threads_are_device_seconds_and_no_wall_seconds(only_pictures: None) -> None:
    one, two = (
        forecast_of(trials=5),
        forecast.forecast(plan(trials=5, prune=False), frame(threads=2)),
    )
    assert two.core_seconds == pytest.approx(2 * one.core_seconds)
    assert two.wall_seconds == pytest.approx(one.wall_seconds)


@pytest.mark.parametrize("trials", [None, 1000])
@pytest.mark.parametrize("kind", ["wall_sec", "device_sec"])
def test_a_budget_holds_as_many_trials_as_it_pays(
    only_pictures: None, kind: str, trials: int | None
) -> None:
    limits = SweepBudget(**{kind: 1000.0})
    expected = forecast_of(trials=trials, budget=limits)
    if kind == "wall_sec":
        room = 1000.0 - budget.CLOSING_SEC - OPEN_SEC - IMPORT_SEC
        assert expected.trials == int((room + GAP_SEC) / (WHOLE + GAP_SEC))
        assert expected.wall_seconds == pytest.approx(1000.0 - budget.CLOSING_SEC + CLOSE_SEC)
    else:
        assert expected.trials == int((1000.0 - IMPORT_SEC) / WHOLE)
        assert expected.core_seconds == pytest.approx(1000.0)


def test_device_seconds_are_spent_whole_by_trials_at_once(only_pictures: None) -> None:
    limits = SweepBudget(device_sec=3000.0)
    body = plan(trials=None, prune=False, concurrency=3, budget=limits)
    expected = forecast.forecast(body, frame(threads=2))
    assert expected.core_seconds == pytest.approx(3000.0)
    rounds = (3000.0 / 6 - IMPORT_SEC) / WHOLE  # three trials of two threads in each
    assert expected.trials == 3 * int(rounds)


def test_a_sweep_of_a_budget_alone_keeps_enough_for_its_finalists(only_pictures: None) -> None:
    limits = SweepBudget(device_sec=3000.0)
    body = plan(trials=None, concurrency=3, budget=limits, table=False, keep=(0.25, 0.25))
    expected = forecast.forecast(body, frame())
    assert 2700.0 < expected.core_seconds <= 3000.0
    assert FINALISTS <= expected.trials_to_rung[-1] < 3 * FINALISTS
    assert expected.trials > 1.5 * 3000.0 / WHOLE  # more than if all were trained to the end


@pytest.mark.parametrize("together", [1, 2, 8])
def test_on_paper_trials_are_promoted_as_the_engine_promotes_them(
    tmp_path: Path, together: int
) -> None:
    """A real engine on random values, against the sweep on paper: how many reach each rung."""
    rng = np.random.default_rng(together)
    drawn: dict[str, float] = {}

    def quality(config: Any, rung: int) -> float:
        """One value a trial, that all rungs show."""
        return drawn.setdefault(config.trial_id, float(rng.random()))

    body = {"trials": 64, "search": "random", "table": False, "concurrency": together}
    counts = []
    for k in range(12):
        engine = finished(tmp_path / f"{k}", World(quality), **body, keep=(0.25, 0.25))
        trials = engine.history.trials.values()
        counts.append([sum(r in t.rungs for t in trials) for r in range(3)])
    job = Job(architecture="any", stages=(1.0, 1.0, 1.0, 0.0), devices=1.0, slot=1.0)
    runs = PaperSweep(plan(**body, keep=(0.25, 0.25)), [job], [job]).many()
    on_paper = np.mean([run.reached for run in runs], axis=0)
    assert on_paper[0] == 64
    assert on_paper[1:] == pytest.approx(np.mean(counts, axis=0)[1:], rel=0.2)


def test_packed_trials_share_a_device(only_pictures: None, monkeypatch: pytest.MonkeyPatch) -> None:
    on_gpu = frame(device="cuda", precision="bfloat16")
    body = plan(trials=8, prune=False, concurrency=8, memory_gb=80.0)
    alone = forecast.forecast(replace(body, concurrency=1), on_gpu)
    packed = forecast.forecast(replace(body, pack=1, device_gb=80.0), on_gpu)
    assert packed.wall_seconds < alone.wall_seconds / 5
    share = slots.slot(alone.peak_gb, 80.0)
    assert packed.core_seconds == pytest.approx(8 * share * (WHOLE + IMPORT_SEC))
    assert packed.notes == ([] if torch.cuda.is_available() else [timing.ABSENT])
    half = 0.55 * alone.peak_gb  # of such a device two thirds fit: one trial at a time
    tight = forecast.forecast(replace(body, pack=1, device_gb=2 * half), on_gpu)
    assert tight.wall_seconds > alone.wall_seconds


def test_a_forecast_goes_into_the_journal(only_pictures: None) -> None:
    expected = forecast_of(trials=3)
    body = dataclasses.asdict(expected)
    assert json.loads(json.dumps(body, allow_nan=False)) == body
    assert expected.peak_gb == max(expected.peak_gb_of.values())
    assert set(expected.peak_gb_of) == set(expected.paces) == set(ARCHITECTURES)


def test_what_was_told_beside_what_was(tmp_path: Path) -> None:
    body: dict[str, Any] = {"core_seconds": 9.0, "wall_seconds": 5.0, "peak_gb": 1.5}
    engine = finished(tmp_path, World(smooth), trials=3)
    assert forecast.compared(body, engine.history, 4.0) is None  # no session: not one whole run
    engine.write("session", event="open", host="here", pid=1)
    beside = forecast.compared(body, engine.history, 4.0)
    assert beside is not None
    took = sum(t.wall_sec for t in engine.history.trials.values())
    assert beside["device_sec"] == (9.0, pytest.approx(took))
    assert beside["wall_sec"] == (5.0, 4.0)
    assert "trial_share" not in beside  # of none seconds were predicted
    for trial, share in zip(engine.history.trials.values(), (0.5, 1.0, 2.0), strict=True):
        predicted = trial.wall_sec / share
        trial.suggestion = replace(trial.suggestion, predicted_sec=predicted)
    beside = forecast.compared(body, engine.history, 4.0)
    assert beside is not None
    assert beside["trial_share"] == pytest.approx((0.6, 1.0, 1.8))  # ends between 0.5, 1 and 2
    engine.write("session", event="open", host="here", pid=2)
    assert forecast.compared(body, engine.history, 4.0) is None
    assert forecast.compared({}, engine.history, 4.0) is None


def test_every_suggestion_says_what_seconds_are_predicted(
    only_pictures: None, tmp_path: Path
) -> None:
    body = {"trials": 2, "forecast": dataclasses.asdict(forecast_of(trials=2))}
    engine = finished(tmp_path, World(smooth), **body)
    predicted = [trial.suggestion.predicted_sec for trial in engine.history.trials.values()]
    assert predicted == [round(WHOLE, 1)] * 2
