"""Rivals of another kind are tuned with equally many trials, each learning from its own."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from bench.config import TrialConfig
from bench.sweep.deciding.promote import FINALISTS
from bench.sweep.deciding.role import role
from bench.sweep.deciding.suggest import suggest
from bench.sweep.record.history import History
from bench.sweep.running.engine import Engine
from bench.workloads.echo import SMOKE
from search_spaces.echo_space import space
from tests.unit.sweep.fakes import World, finished, plan, smooth

TRIALS = 60
SETUPS = SMOKE.choices.preconditionings


def one_leads(config: TrialConfig, rung: int) -> float:
    """VE is far better than the others."""
    return smooth(config, rung) * (0.1 if config.method.preconditioning == "ve" else 1.0)


def swept(folder: Path, **changes: object) -> Engine:
    return finished(folder, World(one_leads), trials=TRIALS, **changes)


def tried(engine: Engine) -> Counter[str]:
    return Counter(t.cell["preconditioning"] for t in engine.history.trials.values())


@pytest.fixture(scope="module")
def even(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return swept(tmp_path_factory.mktemp("even"), even_axes=("preconditioning",))


def test_each_value_of_an_even_axis_has_equally_many_trials(even: Engine, tmp_path: Path) -> None:
    counts = tried(even)
    assert set(counts) == set(SETUPS)
    assert sum(counts.values()) == TRIALS
    assert max(counts.values()) - min(counts.values()) <= 1
    free = tried(swept(tmp_path))
    assert free["ve"] == max(free.values()) > TRIALS / 3 + 3  # else there was nothing to even out


def test_a_value_learns_from_its_own_trials_alone(even: Engine) -> None:
    """What is suggested of one preconditioning is the same, whatever the others found."""
    history = even.history
    given = {"preconditioning": "edm"}
    args = (TRIALS, space, SMOKE.choices, given)
    before, _ = suggest(history.plan, history, *args)
    others = {n for n, t in history.trials.items() if t.cell["preconditioning"] != "edm"}
    own = History(r for r in even.journal.records if r.get("trial") not in others)
    after, _ = suggest(history.plan, own, *args)
    assert 0 < len(own.trials) < len(history.trials)
    assert after == before
    assert before["preconditioning"] == "edm"


def test_without_even_axes_the_search_is_given_nothing(even: Engine) -> None:
    assert role(even.history.plan, even.history, TRIALS).fixed.keys() == {"preconditioning"}
    assert role(plan(), even.history, TRIALS).fixed == {}


def test_a_trial_is_pruned_among_its_like_alone(tmp_path: Path) -> None:
    """VE's values are ten times better at every rung: of each preconditioning some go on."""
    done = swept(tmp_path, even_axes=("preconditioning",), keep=(0.5, 0.5))
    assert done.history.plan.keep == (0.5, 0.5)
    for setup in SETUPS:
        trials = [t for t in done.history.trials.values() if t.cell["preconditioning"] == setup]
        free = [t for t in trials if not t.protected]
        assert {t.outcome for t in free} == {"completed", "pruned"}
        first = [t.rungs[0] for t in trials]
        for trial in free:
            if trial.outcome == "pruned" and max(trial.rungs) == 0:
                ahead = sum(value < trial.rungs[0] for value in first)
                assert ahead >= max(FINALISTS, len(first) // 2)
        assert min(first) > 0
