"""Searches replayed on trials that follow a formula: the surrogate, the noise, the simulated time,
and what is said of them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from sklearn.ensemble import ExtraTreesRegressor

from tests.measure import search
from tests.measure.search import (
    Estimate,
    Found,
    best_drawn,
    judged,
    replay,
    setting_of,
    verdict,
)
from tests.measure.searches import HALVING, OURS, RANDOM, SEARCHES, Job, Setting, World
from tests.measure.surrogate import Forest, Surrogate, noise_of
from tests.measure.trial_table import Recorded, read_tables
from tests.unit.measure.synthetic_table import SCORE, log_score, write_table

QUICK = (RANDOM, HALVING, "TPE", "TPE, Hyperband", OURS)
TRIALS = 24


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Without noise."""
    return write_table(tmp_path_factory.mktemp("table") / "trials.csv", count=120)


@pytest.fixture(scope="module")
def surrogate(recorded: Path) -> Surrogate:
    rows, shared = read_tables([recorded])
    return Surrogate(rows, shared["space"], SCORE)


def setting(recorded: Path, trials: int = TRIALS, workers: int = 2, **more: float) -> Setting:
    rows, shared = read_tables([recorded])
    return setting_of(shared, rows, trials, workers, more.get("evaluation", 1.0))


def test_a_forest_side_by_side_says_what_sklearn_says() -> None:
    draw = np.random.default_rng(0)
    points, targets = draw.random((60, 5)), draw.random((60, 2))
    fitted = ExtraTreesRegressor(20, min_samples_leaf=2, random_state=0).fit(points, targets)
    unseen = draw.random((40, 5))
    assert Forest(fitted)(unseen) == pytest.approx(fitted.predict(unseen), rel=1e-12)  # float64


def test_a_surrogate_ranks_what_it_has_not_seen_and_knows_no_noise_where_there_is_none(
    surrogate: Surrogate,
) -> None:
    assert surrogate.fit.rank > 0.7
    assert surrogate.fit.rungs == pytest.approx((1, 1, 1))
    assert np.abs(surrogate.noise.own).max() < 1e-12  # float64 of equal numbers
    logs, broken = surrogate(surrogate.recorded[0])
    assert logs[-1] == pytest.approx(log_score(surrogate.recorded[0]), abs=0.3)
    assert list(logs) == sorted(logs, reverse=True)  # lower at each rung, none at report
    assert not broken


def test_noise_of_a_training_is_told_from_what_its_seed_adds_to_all(tmp_path: Path) -> None:
    rows, _ = read_tables([write_table(tmp_path / "t.csv", count=600, own=0.1, shared=0.5)])
    noise, effects = noise_of(rows, SCORE)
    # 120 configurations of 3 seeds: 240 degrees of freedom, 4.6 % of a standard deviation
    assert noise.own.std(axis=0) == pytest.approx(np.full(4, 0.1), rel=0.14)
    assert noise.own[:, 0] == pytest.approx(noise.own[:, -1])  # one training moves as a whole
    at_zero = np.random.default_rng(2).standard_normal(3) * 0.5
    found = [effects[seed][0] for seed in range(3)]
    assert found == pytest.approx(at_zero - at_zero.mean(), abs=3 * 0.1 / 120**0.5)


def test_compute_is_machine_time_in_full_trainings(recorded: Path, surrogate: Surrogate) -> None:
    free = setting(recorded, workers=1, evaluation=0.0)
    played = replay(surrogate, free, [RANDOM, HALVING, OURS], 1)
    assert played[RANDOM][0].spent == pytest.approx(TRIALS)
    # all of them to 1/16, a quarter of those to 1/4, four finalists to the end
    assert played[HALVING][0].spent == pytest.approx(TRIALS / 16 + 6 * 3 / 16 + 4 * 3 / 4)
    priced = setting(recorded)
    # 1 s of 10 at each of three rungs, 1 s at the end: see synthetic_table
    assert (priced.select_cost, priced.report_cost) == pytest.approx((0.1, 0.1))
    assert replay(surrogate, priced, [RANDOM], 1)[RANDOM][0].spent == pytest.approx(TRIALS)
    whole = played[RANDOM][0]
    assert whole.truth == sorted(whole.truth, reverse=True)  # without noise it only gets better
    assert whole.at(np.array([0.5, whole.compute[0], 1e9])) == pytest.approx(
        [np.inf, whole.truth[0], whole.truth[-1]]
    )


def test_at_equal_compute_halving_has_more_trials(recorded: Path, surrogate: Surrogate) -> None:
    own = setting(recorded, evaluation=0.0)
    played = replay(surrogate, own, [RANDOM, HALVING], 1, equal_compute=True)
    assert played[RANDOM][0].spent == pytest.approx(TRIALS)
    assert played[HALVING][0].spent == pytest.approx(TRIALS, rel=0.1)  # whole trials


def test_equal_seeds_replay_alike_and_others_do_not(tmp_path: Path) -> None:
    table = write_table(tmp_path / "t.csv", count=40, own=0.1, shared=0.1)
    rows, shared = read_tables([table])
    noisy = Surrogate(rows, shared["space"], SCORE)
    one, again = (replay(noisy, setting(table), QUICK, 2) for _ in range(2))
    assert one == again
    for name in QUICK[:-1]:  # ours begins with the defaults, one of which is best
        assert one[name][0] != one[name][1]


def test_random_search_matches_itself_at_about_all_of_its_trials(
    recorded: Path, surrogate: Surrogate
) -> None:
    own = setting(recorded)
    best = best_drawn(surrogate, own, 2000)
    found, _ = judged(replay(surrogate, own, [RANDOM, OURS], 30), best, own)
    matched = found[RANDOM].to_match
    assert 0.7 < matched.value <= 1 + 0.25 / TRIALS  # where the median last got better; a step
    assert matched.low <= matched.value
    assert found[RANDOM].at_end.value > 0
    assert found[OURS].to_match.value < 0.5  # its defaults are near the best of the formula


def test_a_training_from_another_seed_is_moved_with_all_of_that_seed(tmp_path: Path) -> None:
    table = write_table(tmp_path / "t.csv", count=40, own=0.0, shared=0.3)
    rows, shared = read_tables([table])
    surrogate = Surrogate(rows, shared["space"], SCORE)
    world, params = World(surrogate, 0), surrogate.recorded[0]
    plain = [world.value(Job(key=key, params=params), 0) for key in (0, 1)]
    moved = [world.value(Job(key=key, params=params, seed=7), 0) for key in (2, 3)]
    assert plain[0] == pytest.approx(plain[1])
    assert moved[0] == pytest.approx(moved[1])
    assert abs(np.log(moved[0] / plain[0])) > 0.01


def test_what_diverges_is_nobodys_incumbent(recorded: Path) -> None:
    rows, shared = read_tables([recorded])

    def broken(row: Recorded) -> Recorded:
        if row.params["architecture"] != "adm":  # the best of the formula
            return row
        return dataclasses.replace(row, outcome="diverged", rungs=row.rungs[:1], report={})

    surrogate = Surrogate([broken(row) for row in rows], shared["space"], SCORE)
    assert surrogate.breaks_at == 1
    adm = next(row.params for row in rows if row.params["architecture"] == "adm")
    assert surrogate(adm)[1]
    played = replay(surrogate, setting(recorded), QUICK, 1)
    whole = Surrogate(rows, shared["space"], SCORE)
    best = min(whole(row.params)[0][-1] for row in rows)
    for name in QUICK:
        assert played[name][0].truth[-1] > best


def test_the_verdict_is_of_the_means_over_sets() -> None:
    def found(equal: float, match: float, spread: float) -> Found:
        def estimate(value: float) -> Estimate:
            around = value * np.linspace(1 - spread, 1 + spread, 101)
            return Estimate(value=value, low=around[0], high=around[-1], resampled=around)

        return Found(
            curves=np.zeros((1, 1)), spent=1.0, at_end=estimate(equal), at_equal=estimate(equal),
            to_match=estimate(match),
        )  # fmt: skip

    one = {RANDOM: found(9.0, 1.0, 0.1), HALVING: found(3.0, 0.5, 0.1), OURS: found(1.0, 0.4, 0.3)}
    two = {RANDOM: found(9.0, 1.0, 0.1), HALVING: found(3.0, 0.5, 0.1), OURS: found(2.0, 0.9, 0.3)}
    said = verdict([one, two])
    assert "equal compute: ours, 1.5 (1.1 to 1.9) % above the best known, and random, hal" in said
    assert "halving is worse, 3.0 (2.7 to 3.3); wins at matching random: random, halving, " in said
    assert "random, halving, 0.50 (0.45 to 0.55) of its compute" in said
    wide = {**two, OURS: found(2.0, 0.4, 0.9)}
    assert "halving is as good (intervals overlap), 3.0" in verdict([wide])


def test_the_command_says_who_wins_in_its_last_line(
    recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "DENSE", 500)
    plot = tmp_path / "plot.png"
    given = [str(recorded), "--replicates", "2", "--trials", "16", "--plot", str(plot)]
    for name in QUICK:
        given += ["--search", name]
    said = CliRunner().invoke(search.main, given, catch_exceptions=False)
    assert said.exit_code == 0
    lines = said.output.splitlines()
    assert lines[-1].startswith("wins at equal compute: ")
    assert lines[-1].count(HALVING) == 2
    assert sum(line.startswith("simulated | ") for line in lines) == len(QUICK)
    assert plot.stat().st_size > 10_000
    assert set(QUICK) < set(SEARCHES)
