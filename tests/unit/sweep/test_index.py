"""What a history finds by its index against a scan of all its trials, after every record."""

from __future__ import annotations

import random
import statistics
from collections import Counter

import pytest

from bench.sweep.record.history import BROKEN, OUTCOMES, SURE, History
from bench.sweep.record.trial import Trial
from tests.unit.sweep import fakes
from tests.unit.sweep.written import SETUPS, any_records, plan_record

RUNGS = {"rungs": (0.1, 0.5, 1.0), "keep": (0.5, 0.5)}


@pytest.mark.parametrize("prune", [False, True])
@pytest.mark.parametrize("direction", ["lower", "higher"])
@pytest.mark.parametrize("even_axes", [(), ("preconditioning",)])
@pytest.mark.parametrize("seed", range(3))
def test_what_is_found_is_what_a_scan_finds(
    prune: bool, direction: str, even_axes: tuple[str, ...], seed: int
) -> None:
    draw = random.Random(seed)
    score = fakes.Measure(key="fd_fake", title="fd_fake", direction=direction)
    history = History([plan_record(prune=prune, score=score, even_axes=even_axes, **RUNGS)])
    told, states = [], set()
    for record in any_records(draw):
        history.apply(record)
        compare(history)
        states |= set(history.counts())
        if "trial" in record and record.get("phase") != "progress":
            told.append(record["trial"])
    assert history.changes == told
    assert states == {*OUTCOMES, "running"}  # else little was shown


def compare(history: History) -> None:
    """Every question that the index answers, by going through all trials."""
    plan, trials = history.plan, list(history.trials.values())
    states = Counter(t.outcome or "running" for t in trials)
    assert history.counts() == states
    for name in (*OUTCOMES, None):
        assert history.with_outcome(name) == [t for t in trials if t.outcome == name]
    still = [t for t in trials if t.number not in plan.given_up]
    left_open = [t for t in still if t.open]
    waiting = [t for t in still if t.outcome == "waiting"]
    assert history.left_open == left_open
    assert history.waiting == waiting
    for entry in {t.suggestion.entry_id for t in trials}:
        assert history.of_entry(entry) == [t for t in trials if t.suggestion.entry_id == entry]
    assert history.of_entry("of nobody") == []

    counts = {}
    for cell in {t.place for t in trials}:
        its = [t for t in trials if t.place == cell]
        safe = [t for t in its if t.open and (t.protected or not plan.prune)]
        there = [t for t in its if t not in safe and plan.cell_rung in t.rungs]
        own = [t for t in its if t.suggestion.origin in ("default", "cell")]
        counts[cell] = len(safe) + len(there), len(own)
    assert history.cell_counts() == counts

    def at(trial: Trial, rung: int) -> tuple[float, int]:
        value = trial.rungs[rung]
        return (-value if plan.score.direction == "higher" else value), trial.number

    for setup in SETUPS:
        group = (setup,) if plan.even_axes else ()
        its = [t for t in trials if not plan.even_axes or t.cell["preconditioning"] == setup]
        assert all(t.group == group for t in its)
        search = [t for t in its if t.suggestion.origin != SURE]
        assert history.searched(group) == len(search)
        for rung in range(plan.last_rung):
            counted = [t for t in search if t.outcome not in BROKEN and rung in t.rungs]
            assert list(history.seen(rung, group)) == sorted(at(t, rung) for t in counted)
            missing = [t for t in its if t in left_open and rung not in t.rungs]
            assert history.to_come(rung, group) == len(missing)
            first = [t for t in its if t in waiting and max(t.rungs, default=None) == rung]
            best = min(first, key=lambda t: at(t, rung), default=None)
            assert history.first_waiting().get((rung, group)) is best
    for rung in range(plan.last_rung):
        stand = [t for t in (*waiting, *left_open) if max(t.rungs, default=None) == rung]
        found = list(history.contenders(rung))
        assert found == sorted(stand, key=lambda t: at(t, rung))
        assert all(history.place(t, rung) == at(t, rung) for t in found)

    reached = [t for t in trials if 0 in t.rungs]
    if reached:
        seconds = statistics.median(sum(t.rung_seconds[0].values()) for t in reached)
        assert history.first_rung() == (seconds, statistics.median(t.devices for t in reached))
    else:
        assert history.first_rung() is None
