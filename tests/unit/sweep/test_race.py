"""Races on new seeds: who gets one, when they end, and that a killed driver changes nothing."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.config import TrialConfig
from bench.errors import BenchError
from bench.run import Report
from bench.sweep.record.journal import Journal, Record
from bench.sweep.record.plan import RaceRules
from bench.sweep.record.trial import Trial
from bench.sweep.running import race, session
from bench.sweep.running.engine import Engine
from leaderboards.measures import Measure
from tests.unit.sweep.fakes import SCORE, World, drive, open_engine, plan
from tests.unit.sweep.test_engine import KilledError, MortalJournal, facts

CELLS = 4
SMALL: dict[str, Any] = {
    "trials": 2 * CELLS,
    "prune": False,
    "cells": plan().cells[:CELLS],
    "defaults": plan().defaults[:CELLS],
}
BACKBONES = sorted({cell["architecture"] for cell in SMALL["cells"]})


class Scored(World):
    """A world whose trials end with a score: that of their last rung."""

    def steps(self, number: int, config: TrialConfig) -> Iterator[Report]:
        for report in super().steps(number, config):
            if report.phase == "rung":
                score = {"eval/fd_fake": report.value, "eval/fd_fake_se": 0.0}
                report = replace(report, metrics={**report.metrics, **score})
            yield report


def apart(log_scores: tuple[float, ...], own: float = 0.002) -> Scored:
    """Entries this far apart in logarithm, by architecture; a seed moves all by 20 %, and each
    entry by `own` beside."""

    def formula(config: TrialConfig, rung: int) -> float:
        place = BACKBONES.index(config.method.backbone)
        moved = 0.2 * np.random.default_rng(config.seed).normal()
        moved += own * np.random.default_rng([config.seed, place]).normal()
        return float(50 * np.exp(log_scores[place] + moved))

    return Scored(formula)


def run_race(
    engine: Engine, world: World, said: list[str], rules: RaceRules | None, **more: Any
) -> None:
    """Begin a race, or go on with one (no rules), and drive it to its end."""
    goes_on = race.Race(engine, said.append)
    if rules is not None:
        race.begin(engine, rules, more.get("wall_sec"))
    goes_on.go_on()
    drive(engine, world)


def swept(folder: Path, world: World, journal: Journal | None = None) -> Engine:
    engine = open_engine(folder, plan(**SMALL), journal=journal)
    drive(engine, world)
    return engine


def new_seeds(engine: Engine) -> dict[str, list[Trial]]:
    """Trials of the race by architecture."""
    found: dict[str, list[Trial]] = {name: [] for name in BACKBONES}
    for trial in engine.history.trials.values():
        if trial.suggestion.origin == "confirm":
            found[trial.cell["architecture"]].append(trial)
    return found


def test_seeds_go_to_those_that_may_be_best_until_one_is_left(tmp_path: Path) -> None:
    """The third is far behind from the start and gets none; the second falls out on the way."""
    world, said = apart((0.0, 0.01, 0.5, 0.6)), []
    engine = swept(tmp_path, world)
    run_race(engine, world, said, RaceRules(seeds=8))
    assert engine.complete
    seeds = {
        name: [t.suggestion.seed for t in trials] for name, trials in new_seeds(engine).items()
    }
    first, second, *others = (seeds[name] for name in BACKBONES)
    assert len(first) == 3
    assert len(second) == 2
    assert second == first[: len(second)]  # the k-th seed is the same for all
    assert others == [[], []]
    assert said[0].startswith("the sweep's end (level 0.005): 2 of 4 may be best: ")
    assert said[1].startswith("look 1: 2 trials on the next new seed")
    assert any(line.startswith("look 2 (level 0.005): ") for line in said)
    label = new_seeds(engine)[BACKBONES[0]][0].suggestion.label
    assert said[-2] == f"look 3 (level 0.02): 1 of 4 may be best: {label}"
    assert said[-1] == f"the race is over: one is left, {label}"


class SeenTwice(Scored):
    """A second extractor under which the first two entries change places, or not."""

    swaps = True

    def steps(self, number: int, config: TrialConfig) -> Iterator[Report]:
        place = BACKBONES.index(config.method.backbone)
        factor = {0: 1.3, 1: 0.5}.get(place, 1.0) if self.swaps else 1.0
        for report in super().steps(number, config):
            if report.phase == "rung":
                second = {"eval/fd_second": factor * report.value, "eval/fd_second_se": 0.0}
                report = replace(report, metrics={**report.metrics, **second})
            yield report


@pytest.mark.parametrize("swaps", [True, False])
def test_those_ahead_under_a_second_extractor_get_seeds_too(tmp_path: Path, swaps: bool) -> None:
    scored, said = apart((0.0, 0.5, 0.6, 0.7)), []
    world = SeenTwice(scored.formula)
    world.swaps = swaps
    second = Measure(key="eval/fd_second", title="fd_second", direction="lower", witness=True)
    of_two = {"measures": (replace(SCORE, key="eval/fd_fake"), second)}
    of_two["protocol"] = {**plan().protocol, "extractor": "fake"}
    engine = open_engine(tmp_path, plan(**SMALL, **of_two))
    drive(engine, world)
    run_race(engine, world, said, RaceRules(seeds=4))
    counts = [len(new_seeds(engine)[name]) for name in BACKBONES]
    assert counts == ([4, 4, 0, 0] if swaps else [3, 0, 0, 0])
    if swaps:
        assert said[-1].startswith("the race is over: each of those left has had 4 new seeds")
    else:
        assert "one is left" in said[-1]


def test_it_ends_where_those_left_are_equivalent(tmp_path: Path) -> None:
    world, said = apart((0.0, 0.0001, 0.5, 0.6), own=0.001), []
    engine = swept(tmp_path, world)
    run_race(engine, world, said, RaceRules(seeds=8, within=0.03))
    assert said[-1] == "the race is over: the 2 left are equivalent within 3%"
    assert len(engine.history.trials) < 8 + 2 * 8
    look = race.look_at(engine.history, RaceRules(seeds=8, within=0.03))
    assert all(place.behind is not None and place.behind <= 0.03 for place in look.left)
    # the same journal under a stricter tolerance goes on
    assert race.look_at(engine.history, RaceRules(seeds=8, within=0.0001)).again


def test_it_ends_where_each_has_had_its_seeds(tmp_path: Path) -> None:
    world, said = apart((0.0, 0.0, 0.0, 0.0), own=0.05), []
    engine = swept(tmp_path, world)
    run_race(engine, world, said, RaceRules(seeds=2))
    assert said[-1].startswith("the race is over: each of those left has had 2 new seeds")
    counts = Counter(len(trials) for trials in new_seeds(engine).values())
    assert counts == {2: CELLS}


def test_trials_that_fail_count_as_seeds(tmp_path: Path) -> None:
    """Else an entry that cannot be trained again would be tried for ever."""
    world = apart((0.0, 0.0, 0.5, 0.6))
    engine, said = swept(tmp_path, world), []
    broken = Scored(lambda config, rung: "diverged")
    run_race(engine, broken, said, RaceRules(seeds=3))
    assert engine.history.counts() == {"completed": 8, "diverged": 6}
    assert said[-1].startswith("the race is over: each of those left has had 3 new seeds")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    """The journal of a race that nothing interrupted."""
    world = apart((0.0, 0.01, 0.5, 0.6))
    engine = swept(tmp_path_factory.mktemp("race"), world)
    run_race(engine, world, [], RaceRules(seeds=8))
    return engine.journal.records


def test_killed_after_any_record_a_race_ends_as_if_it_had_not_been(
    whole: list[Record], tmp_path: Path
) -> None:
    begun = next(r["n"] for r in whole if r["kind"] == "extend")
    for lives in range(begun + 1, len(whole)):
        folder, world = tmp_path / f"{lives}", apart((0.0, 0.01, 0.5, 0.6))
        mortal = MortalJournal(folder / "fake-1" / "journal.jsonl", lives)
        with pytest.raises(KilledError):  # the mortal driver must die where we say
            run_race(swept(folder, world, mortal), world, [], RaceRules(seeds=8))
        mortal.close()
        again = open_engine(folder)
        again.take_up()
        run_race(again, world, [], None)
        again.journal.close()
        assert again.complete
        assert facts(again.journal.records) == facts(whole), f"killed after record {lives}"


def test_a_look_that_the_budget_does_not_hold_is_not_begun(tmp_path: Path) -> None:
    """By a clock that ticks once a record: a trial takes some seconds."""
    world, said = apart((0.0, 0.0, 0.5, 0.6), own=0.01), []
    ticks = itertools.count()
    journal = Journal(tmp_path / "fake-1" / "journal.jsonl", clock=lambda: float(next(ticks)))
    engine = swept(tmp_path, world, journal)
    engine.write("session", event="open", host="here", pid=1)
    run_race(engine, world, said, RaceRules(seeds=8), wall_sec=12.0)
    assert said[-1].startswith("the race is over: the next look needs about ")
    assert said[-1].endswith("bench resume fake-1 --wall-clock gives it more")
    before = len(engine.history.trials)
    assert before < 8 + 2 * 8
    more = session.more_of(engine.history, None, 30.0, None)
    engine.write("extend", plan=more)
    run_race(engine, world, said, None)
    assert len(engine.history.trials) > before


def test_more_trials_or_fixed_confirmations_end_a_race(tmp_path: Path) -> None:
    world = apart((0.0, 0.02, 0.5, 0.6))
    engine = swept(tmp_path, world)
    run_race(engine, world, [], RaceRules(seeds=2))
    assert engine.plan.race == RaceRules(seeds=2)
    assert session.more_of(engine.history, 3, None, None)["race"] is None
    assert "race" not in session.more_of(engine.history, None, None, None)
    session.extend_with_confirmation(engine, [0], 1)
    assert engine.plan.race is None


def test_one_entry_is_no_race(tmp_path: Path) -> None:
    one = {**SMALL, "trials": 2, "cells": SMALL["cells"][:1], "defaults": SMALL["defaults"][:1]}
    engine = open_engine(tmp_path, plan(**one))
    drive(engine, apart((0.0, 0.0, 0.0, 0.0)))
    with pytest.raises(BenchError, match=r"sweep fake-1 has 1$"):
        race.look_at(engine.history, RaceRules(seeds=3))


DECIBELS = Measure(key="psnr", title="psnr", direction="higher", scale="difference", unit="dB")


@pytest.mark.parametrize(
    ("text", "score", "value"),
    [("3%", SCORE, 0.03), ("0.5%", SCORE, 0.005), ("0.1", DECIBELS, 0.1)],
)
def test_a_tolerance_is_read_on_the_scores_scale(text: str, score: Measure, value: float) -> None:
    within = race.tolerance(text, score)
    assert within == pytest.approx(value)
    shown = race.within_text(RaceRules(seeds=1, within=within), score)
    assert shown.removesuffix(" dB") == text


@pytest.mark.parametrize(
    ("text", "score", "message"),
    [
        ("3", SCORE, "--within 3: fd_fake is compared by its ratio; give a percentage, as 3%"),
        ("3%", DECIBELS, "psnr is compared by its difference; give a number in dB, as 0.1"),
        ("0%", SCORE, "--within 0%: it must be a positive number"),
        ("x%", SCORE, "it must be a positive number"),
        ("nan", DECIBELS, "it must be a positive number"),
    ],
)
def test_a_tolerance_that_is_none_is_refused(text: str, score: Measure, message: str) -> None:
    with pytest.raises(BenchError, match=message):
        race.tolerance(text, score)
