"""What a trial is, read off a journal: the default of each cell twice, then the search."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from bench.config import TrialConfig
from bench.sweep.deciding.role import TRIES, Role, role
from bench.sweep.record.board_rows import rows
from bench.sweep.record.history import History, Record
from leaderboards.rank import rank
from tests.unit.sweep import fakes
from tests.unit.sweep.written import outcome, plan_record, report, suggest

CELLS = (
    {"architecture": "adm", "preconditioning": "edm"},
    {"architecture": "adm", "preconditioning": "vp"},
)
DEFAULTS = tuple({**cell, "lr": 1e-3} for cell in CELLS)
PLAN = plan_record(trials=12, cells=CELLS, defaults=DEFAULTS)


def of(number: int, place: int, origin: str = "default", parameters: int = 1) -> Record:
    """Trial `number` of one of the two cells."""
    body = suggest(number, protected=True, origin=origin, **CELLS[place])
    return {**body, "cost": {**body["cost"], "parameters": parameters}}


def ended(number: int) -> tuple[Record, Record]:
    """It waits at the rung that cells are compared at."""
    return report(number, 16, History([PLAN]).plan.cell_rung), outcome(number, "waiting")


def next_role(*records: Record) -> Role:
    history = History([PLAN, *records])
    return role(history.plan, history, len(history.trials))


def default(place: int) -> Role:
    return Role("default", DEFAULTS[place], True)


def drawn(place: int) -> Role:
    return Role("cell", CELLS[place], True)


BOTH = (of(0, 0), of(1, 1))


def test_each_default_once_then_each_again() -> None:
    assert next_role() == default(0)
    assert next_role(of(0, 0)) == default(1)
    done = (*BOTH, *ended(0), *ended(1))
    assert next_role(*done) == default(0)
    assert next_role(*done, of(2, 0)) == default(1)
    assert next_role(*done, of(2, 0), of(3, 1)) == Role("tpe", {})


def test_a_default_that_runs_still_or_was_interrupted_is_one() -> None:
    assert next_role(*BOTH) == default(0)
    assert next_role(*BOTH, outcome(0, "interrupted")) == default(0)


@pytest.mark.parametrize("what", ["diverged", "out-of-memory", "failed"])
def test_of_a_default_that_came_to_nothing_another_of_its_cell_is_drawn(what: str) -> None:
    lost = (*BOTH, outcome(0, what), *ended(1))
    assert next_role(*lost) == drawn(0)
    assert next_role(*lost, of(2, 0, "cell")) == drawn(0)
    assert next_role(*lost, of(2, 0, "cell"), of(3, 0, "cell")) == default(1)


def test_a_second_seed_that_is_lost_is_drawn_again_a_few_times() -> None:
    records = [*BOTH, *ended(0), *ended(1)]
    for number in range(2, 1 + TRIES):
        assert next_role(*records) == default(0)
        records += [of(number, 0), outcome(number, "diverged")]
    assert next_role(*records) == default(1)


def test_where_nothing_is_trained_a_second_seed_would_say_nothing() -> None:
    still = (of(0, 0, parameters=0), of(1, 1), *ended(0), *ended(1))
    assert next_role(*still) == drawn(0)
    assert next_role(*still, of(2, 0, "cell", parameters=0)) == default(1)


def test_in_a_sweep_every_cell_has_its_default_from_two_seeds_and_so_ranks(tmp_path: Path) -> None:
    """Driven, with three at once; and the board then knows a spread of its own for each cell."""

    class Scored(fakes.World):
        def steps(self, number, config):  # type: ignore[no-untyped-def]
            for said in super().steps(number, config):
                if said.phase == "end":
                    value = self.formula(config, 2) + config.seed % 97 / 1000
                    said.metrics.update({"eval/fd_fake": value})
                yield said

    def formula(config: TrialConfig, rung: int) -> float:
        return fakes.smooth(config, rung) - config.seed % 7  # it knows of seeds, too much

    engine = fakes.finished(tmp_path, Scored(formula), trials=24, concurrency=3, table=True)
    trials = list(engine.history.trials.values())
    assert {t.suggestion.origin for t in trials} == {"default"}
    by_cell = Counter(tuple(t.cell.items()) for t in trials)
    assert set(by_cell.values()) == {2}
    for cell in by_cell:
        seeds = {t.suggestion.seed for t in trials if tuple(t.cell.items()) == cell}
        entries = {t.suggestion.entry_id for t in trials if tuple(t.cell.items()) == cell}
        assert len(seeds) == 2
        assert len(entries) == 1
    ranking = rank(rows(engine.history))
    assert ranking.spread.kind == "measured"
    assert len(ranking.ranked) == 12
    assert {p.training_source for p in ranking.ranked} == {"measured"}
    assert all(p.rank_low is not None for p in ranking.ranked)


def test_what_is_left_out_goes_from_the_last_report_to_the_row() -> None:
    """A report that comes again without it, after a resume, takes nothing away."""
    values = {"cases": [1.5, 2.5, 2.0]}
    end = report(0, 24, phase="end", metrics={"eval/fd_fake": 2.0}, left_out=values)
    records = [PLAN, of(0, 0), end, outcome(0, "completed")]
    (row,) = rows(History(records))
    assert (row.score, row.left_out) == (2.0, values)
    again = report(0, 24, phase="end", metrics={"eval/fd_fake": 2.0})
    assert rows(History([*records[:3], again, records[3]]))[0].left_out == values
    assert rows(History([PLAN, of(0, 0), again, records[3]]))[0].left_out == {}
