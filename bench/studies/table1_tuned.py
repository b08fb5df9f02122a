"""Table 1, tuned: equally many tuning trials for every cell, then its best from new seeds.

The echo paper trained every cell with its authors' defaults, which suit some better than others,
and says itself that VP and VE would need their own. Here each cell draws as many configurations of
the workload's search space; the best of each on `select` is trained again from new seeds, which
alone are in the table: a score that was the best of many is lucky.
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import optuna

from bench.errors import BenchError
from bench.streams import derive_seed
from bench.studies.study import Answer, Arm, Findings, Ran, Setting, Table
from bench.studies.table1_study import ARCHITECTURES, SEEDS, SETUPS, TableOne, findings
from bench.sweep.deciding.resolve import default_params
from bench.sweep.deciding.suggest import Offer
from bench.sweep.planning.plan_making import load_space
from bench.tasks import build_task

TRIALS = 8  # tuning trials of each cell, its defaults among them

Cell = tuple[str, str]


class TableOneTuned(TableOne):
    name: ClassVar[str] = "table1-tuned"
    title: ClassVar[str] = "which architecture, in which setup, once all are tuned alike?"

    def answer(self, setting: Setting) -> Answer:
        cells = [(a, p) for a in ARCHITECTURES for p in SETUPS]
        tuning = yield tuple(
            tuning_arm(setting, cell, draw) for draw in range(TRIALS) for cell in cells
        )
        found_best = {cell: _best(cell, tuning) for cell in cells}
        best = {cell: found for cell, found in found_best.items() if found is not None}
        if not best:
            raise BenchError("no tuning trial completed, so there is nothing to train again")
        ran = yield tuple(
            Arm(
                name=f"{'-'.join(cell)}, tuned, seed {seed}",
                why=f"the best of {TRIALS} on select ({found.arm.name}), from a new seed",
                params=found.arm.params,
                seed=seed,
            )
            for seed in range(setting.seed + 1, setting.seed + 1 + (setting.seeds or SEEDS))
            for cell, found in best.items()
        )
        told = findings(setting, cells, ran, self.title, {})
        return Findings(
            lines=(
                *told.lines,
                *(f"{'-'.join(c)}: no tuning trial completed" for c in cells if c not in best),
                f"{TRIALS} tuning trials a cell, on select; new seeds in the table",
            ),
            tables=(*told.tables, _tuning(setting, tuning)),
            pictures=told.pictures,
            claims=tuple(
                dataclasses.replace(claim, text=f"{claim.text}, tuned alike")
                for claim in told.claims
            ),
            facts=told.facts,
        )


def tuning_arm(setting: Setting, cell: Cell, draw: int) -> Arm:
    """Configuration `draw` of a cell: its defaults, then random ones of the search space."""
    named = dict(zip(("architecture", "preconditioning"), cell, strict=True))
    params: dict[str, Any] = default_params(setting.scale, named)
    if draw:
        name, fixed = setting.workload.space, setting.frame.fixed
        offer = Offer(space=load_space(name), choices=setting.scale.choices, name=name, fixed=fixed)
        seed = derive_seed(setting.seed, f"tuning/{'-'.join(cell)}", draw) % 2**32
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
        study.enqueue_trial({k: v for k, v in named.items() if k not in fixed})
        asked = study.ask()
        offer.run(asked)
        params = {**asked.params, **fixed}
    return Arm(
        name=f"{'-'.join(cell)}, draw {draw}",
        why="the preset's defaults" if not draw else "drawn at random",
        params=params,
        seed=setting.seed,
    )


def _best(cell: Cell, tuning: tuple[Ran, ...]) -> Ran | None:
    """The completed tuning trial of a cell that is best on `select`; None where none completed."""
    mine = [t for t in tuning if _cell(t) == cell and t.outcome == "completed"]
    return min(mine, key=_on_select, default=None)


def _cell(trial: Ran) -> Cell:
    return trial.arm.params["architecture"], trial.arm.params["preconditioning"]


def _on_select(trial: Ran) -> float:
    """Lower is better."""
    score = build_task(trial.config).score
    return score.sign * trial.metrics[f"rung/{score.key}"]


def _tuning(setting: Setting, tuning: tuple[Ran, ...]) -> Table:
    return Table(
        name="tuning",
        title="tuning trials, on select",
        columns=("architecture", "setup", "draw", "outcome", "select", "parameters"),
        rows=[
            (
                *_cell(trial),
                trial.arm.name.rpartition(" ")[2],
                trial.outcome,
                _on_select(trial) if trial.outcome == "completed" else None,
                " ".join(f"{k}={v}" for k, v in sorted(trial.arm.params.items())),
            )
            for trial in tuning
        ],
        shown=False,
    )


STUDY = TableOneTuned()
