"""Calibration: rungs that know everything, nothing, and something."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from bench.errors import BenchError
from bench.sweep import calibrate
from bench.sweep.home import Home
from tests.unit.sweep.fakes import World, finished, smooth

RNG = np.random.default_rng(7)
FINAL = np.sort(RNG.uniform(10, 60, 40))


def test_a_rung_that_ranks_as_the_end_does_keeps_the_least() -> None:
    rung = calibrate.judge(3 * FINAL + 5, FINAL, 0.25, 0.0)
    assert (rung.spearman, rung.kendall) == (pytest.approx(1), pytest.approx(1))
    assert rung.keep == calibrate.FLOOR


def test_a_rung_that_knows_nothing_prunes_nothing() -> None:
    rung = calibrate.judge(RNG.permutation(FINAL), FINAL, 0.25, 0.05)
    assert rung.spearman_low < 0 < rung.spearman_high
    assert rung.keep == 1.0


def test_the_correlations_are_scipys_and_lie_in_their_interval() -> None:
    early = FINAL + RNG.normal(0, 8, len(FINAL))
    rung = calibrate.judge(early, FINAL, 0.5, 0.05)
    assert rung.spearman == pytest.approx(stats.spearmanr(early, FINAL).statistic)
    assert rung.kendall == pytest.approx(stats.kendalltau(early, FINAL).statistic)
    assert rung.spearman_low < rung.spearman < rung.spearman_high


def test_the_share_kept_holds_the_eventual_best_as_often_as_it_says() -> None:
    """Fresh sweeps from the same law as the one it was measured on, by simulation."""

    def sweep(rng: np.random.Generator) -> tuple[Any, Any]:
        final = rng.uniform(10, 60, 40)
        return final + rng.normal(0, 10, 40), final

    kept, draws = 0, 300
    keep = max(calibrate.judge(*sweep(RNG), 0.5, 0.05).keep for _ in range(3))
    for _ in range(draws):
        early, final = sweep(RNG)
        goes_on = np.argsort(early)[: int(np.ceil(keep * 40))]
        kept += final[goes_on].min() <= final.min() * 1.05
    assert keep < 1
    # 0.95 meant; 300 draws have a standard error of 0.013, three of them allowed for
    assert kept / draws > calibrate.SURVIVE - 0.04


def test_lenience_about_the_best_keeps_fewer() -> None:
    early = FINAL + RNG.normal(0, 12, len(FINAL))
    strict, lenient = (calibrate.judge(early, FINAL, 0.5, e).keep for e in (0.0, 0.3))
    assert lenient <= strict


def unpruned(folder: Path, **changes: Any) -> Any:
    more = {"scale": "smoke", "protocol_digest": "abcdef0123456789", "notes": []}
    return finished(folder, World(smooth), trials=16, prune=False, **{**more, **changes}).history


def test_measured_stored_and_used_by_a_plan_of_the_same_protocol(tmp_path: Path) -> None:
    history, home = unpruned(tmp_path), Home(tmp_path)
    found = calibrate.measure(history)
    assert found.trials == 16
    assert [r.fraction for r in found.rungs] == history.plan["rungs"][:-1]
    # the formula of these trials falls alike from rung to rung: the first knows the last
    assert found.keep == [calibrate.FLOOR, calibrate.FLOOR]
    calibrate.store(home, found)
    plan = {**history.plan, "prune": True}
    assert calibrate.load(home, plan) == found
    used = calibrate.applied(home, plan)
    assert used["keep"] == found.keep
    assert "measured on 16 unpruned trials (fake-1)" in used["notes"][-1]
    other = calibrate.applied(home, {**plan, "protocol_digest": "0" * 16})
    assert other["keep"] == plan["keep"]
    assert "the preset's own; bench calibrate echo" in other["notes"][-1]


def test_a_sweep_that_pruned_is_refused(tmp_path: Path) -> None:
    history = finished(tmp_path, World(smooth), trials=20).history
    with pytest.raises(BenchError, match="pruned trials"):
        calibrate.measure(history)


def test_too_few_trials_are_refused(tmp_path: Path) -> None:
    history = finished(tmp_path, World(smooth), trials=4, prune=False).history
    with pytest.raises(BenchError, match="4 completed trials; a calibration needs 8"):
        calibrate.measure(history)


def test_a_damaged_file_is_one_line(tmp_path: Path) -> None:
    history = unpruned(tmp_path)
    path = calibrate.store(Home(tmp_path), calibrate.measure(history))
    path.write_text("{")
    with pytest.raises(BenchError, match="is damaged; delete it"):
        calibrate.load(Home(tmp_path), history.plan)
