"""The promotion rule against a slow count of who is better, and sweeps that close."""

from __future__ import annotations

import copy
import dataclasses
import random
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from bench.config import TrialConfig
from bench.sweep.cost.budget import CLOSING_SEC
from bench.sweep.deciding.promote import (
    FINALISTS,
    SLACK,
    START_SEC,
    goes_on,
    held_from,
    is_closing,
    places,
    promoted,
)
from bench.sweep.record.history import History
from bench.sweep.record.journal import Journal
from bench.sweep.record.plan import SweepBudget
from bench.sweep.running.engine import Engine
from tests.unit.sweep.fakes import SMOKE, World, drive, frame, open_engine, plan, smooth
from tests.unit.sweep.written import outcome, plan_record, report, session, start, suggest

KEEPS = [(1, 2), (1, 3), (1, 4), (3, 4)]
FOUR = {"rungs": (1 / 64, 1 / 16, 1 / 4, 1.0), "keep": (0.25,) * 3}


def four_rungs(folder: Path, journal: Journal | None = None, **changes: Any) -> Engine:
    """An engine whose trials and plan have FOUR."""
    scale = dataclasses.replace(SMOKE, budget_tflop=0.06, **FOUR)
    body = plan(**{"table": False, **FOUR, **changes})
    return open_engine(folder, body, journal=journal, frame=frame(scale=scale))


def driven(folder: Path, world: World, **changes: Any) -> Engine:
    engine = four_rungs(folder, **changes)
    drive(engine, world)
    return engine


def oracle(values: list[tuple[float, int]], mine: tuple[float, int], allowed: int) -> bool:
    """Whether fewer than `allowed` of all seen come before."""
    before = 0
    for value in values:
        if value < mine:
            before += 1
    return before < allowed


@pytest.mark.parametrize("keep", KEEPS)
@pytest.mark.parametrize("closing", [False, True])
@pytest.mark.parametrize(("trials", "held"), [(80, 1), (None, 2)])
@pytest.mark.parametrize("seed", range(4))
def test_the_rule_on_random_sequences(
    keep: tuple[int, int], closing: bool, trials: int | None, held: int, seed: int
) -> None:
    draw, share = random.Random(seed), Fraction(*keep)
    rungs = (0.1, 0.25, 0.5, 1.0)
    history = History(
        [plan_record(rungs=rungs, keep=(float(share),) * 3, table=False, trials=trials)]
    )
    plan = history.plan
    seen: dict[int, list[tuple[float, int]]] = {0: [], 1: [], 2: [], 3: []}
    ways = set()
    for number in range(60):
        protected = draw.random() < 0.2
        body = suggest(number, protected=protected)
        body["config"]["train"]["rungs_nimg"] = [1, 2, 3, 4]
        history.apply(body)
        for rung in range(4):
            value = float(draw.randint(0, 20)) if seed % 2 else draw.random()  # with ties
            history.apply(report(number, rung + 1, rung, value=value))
            seen[rung].append((value, number))
            allowed = int(share * len(seen[rung]))  # exact: a share of a count, rounded down
            if closing:  # nobody is on the way below
                allowed = max(allowed, FINALISTS)
            elif rung >= held:
                allowed = 0
            expected = rung == 3 or (protected and rung < 1)
            expected = expected or oracle(seen[rung], (value, number), allowed)
            before = copy.deepcopy(history)
            on = goes_on(plan, history, history.trials[number], rung, closing)
            assert on is expected, (number, rung)
            assert history.trials == before.trials  # asking changes nothing
            ways.add((rung, protected, on))
            if not on:
                history.apply(outcome(number, "waiting"))
                break
        while (chosen := promoted(plan, history, closing)) is not None:
            trial, rung = chosen
            allowed = int(share * len(seen[rung]))
            allowed = max(allowed, FINALISTS) if closing else allowed
            assert max(trial.rungs) == rung
            assert oracle(seen[rung], (trial.rungs[rung], trial.number), allowed)
            assert closing or rung < held
            history.apply({"kind": "promote", "trial": trial.number, "rung": rung, "t": 9.0})
            value = draw.random()
            history.apply(report(trial.number, rung + 2, rung + 1, value=value))
            seen[rung + 1].append((value, trial.number))
            history.apply(outcome(trial.number, "completed" if rung == 2 else "waiting"))
        # nobody who deserves it still waits
        for trial in history.waiting:
            rung = max(trial.rungs)
            allowed = 0 if rung >= held and not closing else int(share * len(seen[rung]))
            allowed = max(allowed, FINALISTS) if closing else allowed
            assert not oracle(seen[rung], (trial.rungs[rung], trial.number), allowed)
    assert {(0, False, True), (0, False, False), (0, True, True), (1, True, False)} <= ways
    assert ((held, False, True) in ways) is closing


def test_places_are_a_share_and_the_last_stretches_are_for_the_end() -> None:
    body = plan(**FOUR, trials=64)
    assert [places(body, rung, 64, 0, False) for rung in range(3)] == [16, 0, 0]
    timed = plan(**FOUR, trials=64, budget=SweepBudget(wall_sec=600.0))
    assert [places(timed, rung, 64, 0, False) for rung in range(3)] == [16, 16, 0]
    table = plan(**{**FOUR, "trials": 64, "table": True})
    assert [places(table, rung, 64, 0, False) for rung in range(3)] == [16, 0, 0]
    for count, held in ((2, 0), (3, 1), (4, 1), (5, 2)):
        rungs = tuple((k + 1) / count for k in range(count))
        assert held_from(plan(rungs=rungs, keep=(0.5,) * (count - 1), trials=64)) == held
    assert [places(body, rung, 3, 0, False) for rung in range(3)] == [0, 0, 0]
    assert places(body, 2, 4, 0, True) == FINALISTS
    assert places(body, 2, 4, 3, True) == FINALISTS - 3 == 1  # the others may be better yet
    assert places(body, 2, 100, 3, True) == 25


def test_a_trial_that_broke_down_or_confirms_takes_no_place() -> None:
    history = History([plan_record(rungs=(0.2, 0.5, 1.0), keep=(0.5, 0.5), trials=9, table=False)])
    for number, value in enumerate([1.0, 2.0, 3.0, 4.0]):
        history.apply(suggest(number, origin="confirm" if number == 1 else "tpe"))
        history.apply(report(number, 1, 0, value=value))
    trials = history.trials
    assert goes_on(history.plan, history, trials[1], 0, False)  # however bad: it is asked for
    assert not goes_on(history.plan, history, trials[2], 0, False)  # 1 of 0, 2, 3
    history.apply(outcome(0, "diverged"))
    assert goes_on(history.plan, history, trials[2], 0, False)  # 1 of 2, 3
    assert goes_on(dataclasses.replace(history.plan, prune=False), history, trials[3], 0, False)


def test_who_waits_is_promoted_when_others_turn_out_worse(tmp_path: Path) -> None:
    """The second best at the first rung waits while only one of four may go on."""
    engine = four_rungs(tmp_path, trials=40, search="random")
    values = iter([2.0, 1.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0])
    order = drive(
        engine, World(lambda config, rung: next(values) if rung == 0 else 1.0), at_most=20
    )
    promotions = [r for r in engine.journal.records if r["kind"] == "promote"]
    assert [(r["trial"], r["rung"]) for r in promotions][:2] == [(1, 0), (0, 0)]
    assert order[:10] == [0, 1, 2, 3, 1, 4, 5, 6, 7, 0]


def test_the_finalists_are_the_best_of_all_that_stood_before_the_last_stretch(
    tmp_path: Path,
) -> None:
    engine = driven(tmp_path, World(_by_lr), trials=64, concurrency=3)
    history = engine.history
    done = [t.number for t in history.with_outcome("completed")]
    before_last = [t for t in history.trials.values() if 2 in t.rungs]
    best = sorted(before_last, key=lambda t: (t.rungs[2], t.number))[: len(done)]
    assert len(done) == max(FINALISTS, len(before_last) // 4)
    assert sorted(t.number for t in best) == done
    assert set(history.counts()) == {"completed", "pruned"}
    late = [r["trial"] for r in engine.journal.records if r["kind"] == "suggest"][-1]
    last = [r["n"] for r in engine.journal.records if r["kind"] == "suggest"][-1]
    far = [r for r in engine.journal.records if (r.get("rung") or 0) > 1]
    assert all(r["n"] > last for r in far)  # nobody before all 64 were begun
    assert len(before_last) <= len([t for t in history.trials.values() if 1 in t.rungs]) // 4 + 2
    assert late == 63
    protected = [t for t in history.trials.values() if t.protected]
    assert len(protected) == 24
    assert all(1 in t.rungs for t in protected)
    assert any(2 not in t.rungs for t in protected)


def test_a_table_trains_two_of_each_cell_to_the_end(tmp_path: Path) -> None:
    engine = driven(tmp_path, World(_by_lr), trials=30, table=True)
    protected = [t for t in engine.history.trials.values() if t.protected]
    assert [t.outcome for t in protected] == ["completed"] * 24


def _by_lr(config: TrialConfig, rung: int) -> float:
    return smooth(config, rung) + config.seed % 5


@pytest.mark.parametrize("together", [1, 2, 16, 64])
def test_many_at_once_do_not_fill_the_last_stretch_with_whoever_comes_first(
    tmp_path: Path, together: int
) -> None:
    """All are begun at once: those that report first are no finalists for that."""
    engine = driven(tmp_path, World(_by_lr), trials=64, search="random", concurrency=together)
    done = {t.number for t in engine.history.with_outcome("completed")}
    before_last = [t for t in engine.history.trials.values() if 2 in t.rungs]
    ranked = sorted(before_last, key=lambda t: (t.rungs[2], t.number))
    assert {t.number for t in ranked[: len(done)]} == done
    at_first = sorted(engine.history.trials.values(), key=lambda t: (t.rungs[0], t.number))
    assert {t.number for t in at_first[:16]} <= {t.number for t in at_first if 1 in t.rungs}


def _history(wall_sec: float, rung: int, trials: int) -> History:
    """Four trials that took 10 s to a rung at nimg 8 of 24, two of it looking."""
    budget = SweepBudget(wall_sec=wall_sec)
    body: dict[str, Any] = {"trials": None, "budget": budget, "concurrency": 2, "table": False}
    history = History(
        [plan_record(rungs=(0.25, 0.5, 1.0), keep=(0.5, 0.5), **body), session("open", 0.0)]
    )
    for number in range(trials):
        history.apply(suggest(number))
        history.apply(start(number, 1.0))
        seconds = {"train": 8.0, "sample": 2.0}
        history.apply(report(number, 8, rung, value=number, seconds=seconds, t=5.0))
        history.apply(outcome(number, "waiting", t=5.0))
    return history


def test_a_budget_closes_when_it_is_just_enough_for_the_finalists() -> None:
    # each needs 16 s more of training, two looks of 2 s at rungs and a double one at the end
    history = _history(200.0, 0, 4)
    need = 2 * (START_SEC + 8.0 * 16 / 8 + 4 * 2.0)  # four of them, two at once
    edge = 200.0 - CLOSING_SEC - SLACK * need
    assert not is_closing(history.plan, history, lambda: edge - 0.1)
    assert is_closing(history.plan, history, lambda: edge + 0.1)
    assert not is_closing(
        dataclasses.replace(history.plan, prune=False), history, lambda: edge + 0.1
    )
    # of one alone: its own time
    alone = _history(200.0, 0, 1)
    assert not is_closing(alone.plan, alone, lambda: 200.0 - CLOSING_SEC - SLACK * need / 2 - 0.1)
    assert is_closing(alone.plan, alone, lambda: 200.0 - CLOSING_SEC - SLACK * need / 2 + 0.1)
    nobody = _history(200.0, 0, 0)
    assert not is_closing(nobody.plan, nobody, lambda: 199.0)


def test_a_sweep_of_a_budget_alone_ends_with_finalists(tmp_path: Path) -> None:
    """On a clock of its own: every stage of a trial takes a second a share of the budget."""
    now = [0.0]
    budget = SweepBudget(device_sec=40.0)
    journal = Journal(tmp_path / "fake-1" / "journal.jsonl", clock=lambda: now[0])
    engine = four_rungs(tmp_path, journal, trials=None, budget=budget, search="random")

    class Timed(World):
        def steps(self, number: int, config: TrialConfig) -> Any:
            shares = FOUR["rungs"]
            for said in super().steps(number, config):
                if said.phase == "rung" and said.rung is not None:
                    before = shares[said.rung - 1] if said.rung else 0.0
                    now[0] += 4 * (shares[said.rung] - before)
                    spent = {"train": 4 * shares[said.rung]}
                    said = dataclasses.replace(said, seconds=spent)
                yield said

    engine.write("session", event="open", host="here", pid=1)
    drive(engine, Timed(smooth))
    assert engine.complete
    assert not engine.planned  # there was no number of trials
    counts = engine.history.counts()
    assert counts["completed"] >= FINALISTS
    assert counts["waiting"] > 20  # they may go on should more be asked
    assert 40.0 - SLACK * (4.0 + START_SEC) <= engine.spent().device_sec <= 40.0 + 4.0
