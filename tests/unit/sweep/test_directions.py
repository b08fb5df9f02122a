"""A score that should be high is decided by as its mirror image that should be low.

Every decision is made twice: on values that fall as trials improve, and on the same values with
their signs turned under a score that is "higher". Nothing but the sign may differ. A score on the
difference scale is moved by a constant as well, which may change nothing either.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

from bench.config import TrialConfig
from bench.errors import BenchError
from bench.sweep.deciding import calibration, promote, suggest, told_study
from bench.sweep.record.history import History
from bench.sweep.record.home import Home
from bench.sweep.running import session
from bench.sweep.running.engine import Engine
from leaderboards.measures import Measure
from tests.unit.sweep import written
from tests.unit.sweep.fakes import SCORE, World, finished, plan, smooth

HIGHER = dataclasses.replace(SCORE, direction="higher")
DECIBELS = dataclasses.replace(HIGHER, scale="difference", unit="dB")
TWO_CELLS = {
    "cells": plan().cells[1:12:10],  # ddpmpp edm, small_unet ve
    "defaults": plan().defaults[1:12:10],
    "startup_trials": 6,
}

Formula = Callable[[TrialConfig, int], float | str]


def low(config: TrialConfig, rung: int) -> float | str:
    """Diverges, is pruned and completes within a few trials; low values are good."""
    return "diverged" if config.train.lr > 1e-2 else smooth(config, rung)


def moved(sign: float, by: float = 0.0) -> Formula:
    def formula(config: TrialConfig, rung: int) -> float | str:
        value = low(config, rung)
        return value if isinstance(value, str) else by + sign * value

    return formula


def swept(folder: Path, score: Measure, formula: Formula, **changes: Any) -> Engine:
    return finished(folder, World(formula), score=score, **{"trials": 30, **TWO_CELLS, **changes})


def decisions(engine: Engine) -> list[Any]:
    """All that was decided of each trial, without its values."""
    return [
        (t.suggestion.params, t.suggestion.origin, t.protected, t.outcome, t.cause, sorted(t.rungs))
        for t in engine.history.trials.values()
    ]


@pytest.fixture(scope="module")
def lower(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    engine = swept(tmp_path_factory.mktemp("lower"), SCORE, low)
    assert {"completed", "pruned", "diverged"} <= set(engine.history.counts())
    return engine


@pytest.fixture(scope="module")
def higher(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return swept(tmp_path_factory.mktemp("higher"), HIGHER, moved(-1.0))


@pytest.fixture(scope="module")
def decibels(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return swept(tmp_path_factory.mktemp("decibels"), DECIBELS, moved(-1.0, 64.0))


def test_a_whole_sweep_is_its_mirror(lower: Engine, higher: Engine, tmp_path: Path) -> None:
    assert decisions(higher) == decisions(lower)
    blind = swept(tmp_path, SCORE, moved(-1.0))  # as if the direction were not heard
    assert decisions(blind) != decisions(lower)


def test_a_constant_changes_nothing_on_the_difference_scale(
    decibels: Engine, tmp_path: Path
) -> None:
    assert decisions(decibels) == decisions(swept(tmp_path, DECIBELS, moved(-1.0)))


def test_optuna_is_told_which_way(lower: Engine, higher: Engine) -> None:
    directions = optuna.study.StudyDirection
    assert suggest.direction(lower.plan) == directions.MINIMIZE
    assert suggest.direction(higher.plan) == directions.MAXIMIZE
    best = higher.history.best()
    assert best is not None
    study = optuna.create_study(direction=suggest.direction(higher.plan))
    for trial in higher.history.with_outcome("completed"):
        study.add_trial(told_study.as_optuna(trial))
    assert study.best_trial.user_attrs["trial_id"] == best.suggestion.trial_id


@pytest.mark.parametrize("name", ["lower", "higher", "decibels"])
def test_the_best_are_those_a_slow_count_finds(name: str, request: pytest.FixtureRequest) -> None:
    engine: Engine = request.getfixturevalue(name)
    sign = 1.0 if name == "lower" else -1.0
    completed = engine.history.with_outcome("completed")
    values = {t.number: sign * t.rungs[2] for t in completed}
    best_first = [t.number for t in engine.history.best_first()]
    assert [values[n] for n in best_first] == sorted(values.values())
    best = engine.history.best()
    assert best is not None
    assert values[best.number] == min(values.values())
    chosen = session.best_entries(engine.history, 3)
    entries = [t.suggestion.entry_id for t in chosen]
    assert len(set(entries)) == 3
    for trial in completed:
        if trial.suggestion.entry_id not in entries:
            assert values[trial.number] >= max(values[t.number] for t in chosen)


def test_the_best_of_each_choice_on_an_axis(lower: Engine) -> None:
    best_first = lower.history.best_first()
    chosen = session.best_entries(lower.history, 1, "architecture")
    by_choice = {t.cell["architecture"]: t.number for t in reversed(best_first)}
    assert {t.cell["architecture"]: t.number for t in chosen} == by_choice
    assert len(by_choice) > 1
    with pytest.raises(BenchError, match="no axis 'colour' of its cells; it has architecture"):
        session.best_entries(lower.history, 1, "colour")


def test_confirmation_takes_the_entries_of_the_mirror(lower: Engine, higher: Engine) -> None:
    assert [t.number for t in session.best_entries(higher.history, 5)] == [
        t.number for t in session.best_entries(lower.history, 5)
    ]


@pytest.mark.parametrize("score", [SCORE, HIGHER, DECIBELS], ids=["lower", "higher", "decibels"])
def test_pruning_keeps_the_best_of_a_rung(score: Measure) -> None:
    """Ten trials in a shuffled order, the best half kept: against a count of who is better."""
    numbers, seen = [3.0, 9.0, 1.0, 7.0, 5.0, 10.0, 2.0, 8.0, 6.0, 4.0], []
    history = History(
        [written.plan_record(score=score, rungs=(0.2, 0.5, 1.0), keep=(0.5, 0.5), trials=20)]
    )
    for trial, number in enumerate(numbers):
        seen.append(number)
        history.apply(written.suggest(trial))
        history.apply(written.report(trial, 8, 0, value=score.sign * number + 30))
        better = sum(other < number for other in seen)
        waits = not promote.goes_on(history.plan, history, history.trials[trial], 0, False)
        assert waits == (better >= len(seen) // 2), (trial, number)


def test_a_calibration_is_its_mirrors(tmp_path: Path) -> None:
    """Unpruned, drawn at random; what the rungs know and what is kept are the same."""
    unpruned = {"prune": False, "search": "random", "trials": 16}

    def noisy(sign: float, by: float = 0.0) -> Formula:
        def formula(config: TrialConfig, rung: int) -> float:
            """The last value, and before it that of another trial as well."""
            final = abs(np.log10(config.train.lr / 2e-3)) + 1
            early = final + (2 - rung) * 0.3 * np.sin(1e5 * config.train.lr)
            return float(by + sign * early)

        return formula

    def measured(name: str, score: Measure, formula: Formula) -> calibration.Calibration:
        engine = swept(tmp_path / name, score, formula, **unpruned)
        return calibration.measure(engine.history)

    low = measured("low", SCORE, noisy(1.0))
    high = measured("high", HIGHER, noisy(-1.0))
    assert high == low
    assert 0 < low.rungs[0].spearman < 1
    blind = measured("blind", SCORE, noisy(-1.0))
    assert blind != low
    plain = measured("plain", DECIBELS, noisy(-1.0))
    far = measured("far", DECIBELS, noisy(-1.0, 1024.0))
    assert (plain.relative, low.relative) == (False, True)
    assert [rung.keep for rung in far.rungs] == [rung.keep for rung in plain.rungs]
    assert far.rungs == plain.rungs
    home = Home(tmp_path)
    calibration.store(home, high)
    pruned = plan(score=HIGHER, **TWO_CELLS)
    assert calibration.applied(home, pruned).keep == tuple(high.keep)


def test_on_the_difference_scale_the_error_is_in_the_scores_unit() -> None:
    """Moved by a constant, a share of the value grows and a difference does not."""
    rng = np.random.default_rng(5)
    final = rng.uniform(1.0, 2.0, 60)
    values = np.stack([final + rng.normal(0, 0.25, 60), final], 1)

    def keep(by: float, *, relative: bool) -> float:
        return calibration.judge(values + by, (0.5, 1.0), 0.02, relative=relative)[0].keep

    assert keep(0.0, relative=False) == keep(1024.0, relative=False) == 0.5
    # two per cent of a thousand are more than all differences: any trial is as good as the best
    assert keep(1024.0, relative=True) == calibration.SHARES[0]
