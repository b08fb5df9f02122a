"""The sweep that a study's trials are in: one of its own, or as the sweep that it is about."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial

from bench.data.cache import load_cache
from bench.errors import BenchError
from bench.studies.asked import Asked
from bench.studies.study import Study
from bench.sweep.planning import plan_making as planning
from bench.sweep.planning.wish import Wish
from bench.sweep.record.finished import data_place
from bench.sweep.record.home import Home
from bench.sweep.record.plan import SweepBudget
from bench.sweep.running import session
from bench.workloads.workload import Workload

Say = Callable[[str], None]


def new_sweep(
    asked: Asked, study: Study, workload: Workload, home: Home, name: str, say: Say
) -> session.Prepared:
    """A sweep of the study's own."""
    wish = wish_of(asked, study)
    scale = planning.choose_scale(workload, wish, session.find_machine(wish))
    own = study.budget(scale)
    kind = asked.equal or (own.kind if own else study.equal)
    if own is not None and own.kind != kind:
        own = None
    amount = own.amount if own else scale.budget_tflop if kind == "flops" else None
    wish = dataclasses.replace(wish, equal=kind, budget=amount and amount * asked.budget)
    prepare = partial(session.prepare, is_space_trained=False)
    prepared = prepare(wish, home, name, lambda text: say(f"{text} ..."))
    if amount is None and asked.budget != 1.0:  # times what was derived from the preset's FLOPs
        derived = float(prepared.plan.equal["amount"])
        wish = dataclasses.replace(wish, budget=derived * asked.budget)
        prepared = prepare(wish, home, name, lambda text: say(f"{text} ..."))
    return prepared


def of_sweep(
    asked: Asked, study: Study, workload: Workload, home: Home, name: str, say: Say
) -> session.Prepared:
    """The frame of the sweep that was named, with its plan but for its trials.

    Raises:
        BenchError: it is of another workload, or its preset or data changed.
    """
    plan = home.history(str(asked.of)).plan
    if plan.workload != workload.name:
        raise BenchError(
            f"--of {asked.of}: it is a sweep of {plan.workload}, and not of {workload.name}"
        )
    cache = data_place(plan, home)
    _, frame = planning.reopen(plan, cache)
    plan = dataclasses.replace(
        plan,
        sweep=name,
        seed=asked.seed,
        search="random",
        prune=False,
        budget=SweepBudget(),
        confirm=(),
        given_up=(),
        race=None,
        storage=None,
        address=asked.address,
    )
    space = planning.load_space(plan.space)
    data = load_cache(cache)
    return session.Prepared(
        plan=plan, frame=frame, space=space, distributions={}, data=data, forecast=None
    )


def wish_of(asked: Asked, study: Study) -> Wish:
    """What a study wishes of its own sweep."""
    return Wish(
        workload=asked.workload,
        trials=1,
        scale=asked.scale,
        data=asked.data,
        reading=asked.reading,
        settings=_settings(asked, study),
        seed=asked.seed,
        search="random",
        prune=False,
        end_only=True,
        concurrency=asked.concurrency,
        address=asked.address,
    )


def _settings(asked: Asked, study: Study) -> tuple[str, ...]:
    """The study's own parameters but those that the user gives."""
    given = {text.partition("=")[0] for text in asked.settings}
    own = (text for text in study.settings if text.partition("=")[0] not in given)
    return (*own, *asked.settings)
