"""A driver's session with one sweep: begin it or take it up again, run it, close it.

Everything that can be wrong is found in `prepare`, before a folder of the sweep exists.
"""

from __future__ import annotations

import dataclasses
import re
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from bench.config import TrialConfig, canonical
from bench.data.cache import CachedImages
from bench.doors import VERDICTS, WEIGHTS
from bench.errors import BenchError
from bench.files import sync_folder, whole
from bench.methods import load_method
from bench.metrics import METRICS
from bench.networks import BACKBONES
from bench.storage import layout
from bench.sweep.cost import budget, equal, footprint, kept
from bench.sweep.cost import machine as machines
from bench.sweep.cost.machine import Machine
from bench.sweep.cost.price import unbuilt
from bench.sweep.deciding import calibration
from bench.sweep.deciding.resolve import Frame, resolve
from bench.sweep.planning import plan_making as planning
from bench.sweep.planning.forecast import UNTIMED, Forecast, known_forecast
from bench.sweep.planning.preparing import with_prepared
from bench.sweep.planning.wish import Wish
from bench.sweep.record import barring
from bench.sweep.record.finished import data_place
from bench.sweep.record.history import History, Record
from bench.sweep.record.home import Home
from bench.sweep.record.journal import Journal
from bench.sweep.record.plan import Plan
from bench.sweep.record.publishing import REFERENCE
from bench.sweep.record.trial import Trial
from bench.sweep.running.engine import Engine, Listener
from bench.sweep.running.tidier import tidier
from bench.tasks import build_task
from bench.train import batch_norm
from bench.workloads.workload import load as load_workload
from leaderboards.scrubbing import base_name
from search_spaces import Space

CELL = "cell"  # in place of an axis: all of them together
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A sweep that could be begun now; nothing of it is on disk but the shared data cache."""

    plan: Plan
    frame: Frame
    space: Space
    distributions: dict[str, str]
    data: CachedImages
    forecast: Forecast | None  # None: the machine is not timed


def find_machine(wish: Wish) -> Machine:
    """The machine, or the cluster, as the wish would use it.

    Raises:
        BenchError: it cannot be used so; a cluster of several nodes without storage.
    """
    if wish.address is None:
        return machines.find_machine(wish.concurrency, wish.workers, wish.pack)
    survey = _survey(wish.address)
    if survey.nodes > 1 and wish.storage is None:
        raise BenchError(
            f"{survey.text}: trials may move between nodes, so their checkpoints need a place that "
            "all reach; give one with --storage (a shared path, or a URL such as s3://bucket/bench)"
        )
    return machines.cluster_machine(survey, wish.concurrency, wish.workers, wish.pack)


@lru_cache(maxsize=1)
def _survey(address: str) -> Any:
    from bench.sweep.ray_adapter.survey import survey

    return survey(address)


def machine_of(engine: Engine, address: str | None) -> Machine:
    """The machine as a sweep that was begun uses it.

    Raises:
        BenchError: it has not what the sweep runs on.
    """
    plan = engine.plan
    wish = Wish(
        workload=plan.workload_door,
        trials=1,
        concurrency=plan.concurrency if plan.fixed_concurrency else None,
        workers=plan.workers,
        pack=plan.pack is not None,
        storage=plan.storage,
        address=address,
    )
    machine = find_machine(wish)
    if plan.on_gpu and not machine.gpus:
        raise BenchError(
            f"sweep {plan.sweep!r} runs on GPUs and there is none here; resume it where it ran"
        )
    return machine


def check_names(wish: Wish, home: Home, name: str | None) -> None:
    """Everything in a wish that can be judged without touching a disk or the data.

    Raises:
        BenchError: an unknown workload, scale or space, a bad or taken name.
    """
    workload = load_workload(wish.workload)
    for backbone in wish.backbones:
        BACKBONES.load(backbone)
    for metric in wish.metrics:
        METRICS.load(metric)
    planning.choose_scale(workload, wish, find_machine(wish))
    planning.load_space(wish.space or workload.space)
    if name is not None and not NAME.fullmatch(name):
        raise BenchError(f"--name {name!r}: a name is letters, digits, '-', '_' and '.', as echo-1")
    if name is not None and home.taken(name):
        raise BenchError(f"a sweep {name!r} exists; choose another --name, or bench resume {name}")


def prepare(
    wish: Wish,
    home: Home,
    name: str | None,
    say: Callable[[str], None],
    *,
    dry: bool = False,
    is_space_trained: bool = True,
) -> Prepared:
    """Decide and check all of a new sweep, then let its methods prepare what they need; `dry`: not
    that, so that what is answered can be looked at and not begun. is_space_trained: its trials are
    drawn from the space, and not a study's own.

    Raises:
        BenchError: any mistake in the wish, its data, space or budget.
    """
    check_names(wish, home, name)
    workload = load_workload(wish.workload)
    machine = find_machine(wish)
    scale = planning.choose_scale(workload, wish, machine)
    space = planning.load_space(wish.space or workload.space)
    home.make()
    kept.COUNTED.lie_in(kept.counts_file(home.path))
    name = name or home.free_name(workload.name)
    if wish.storage is not None:
        layout.check(wish.storage, home.path, new_sweep=name)
    say("reading the data" if wish.data else "drawing the simulated data")
    data = workload.open_data(wish.data, scale, home.path, wish.reading)
    frame = planning.make_frame(workload, scale, data, wish, machine)
    space_name = wish.space or workload.space
    frame, of_methods = with_prepared(frame, space, space_name, say, rehearsed=True)
    if wish.equal == "gpu-seconds":
        say("timing the networks")
    plan = planning.make_plan(name, wish, workload, frame, machine, data, space)
    if wish.equal != "flops":
        frame = dataclasses.replace(frame, equal=equal.of_plan(plan))
    distributions = planning.check_space(
        plan, frame, space, scale.choices, wish.fixed, is_trained=is_space_trained
    )
    _need_memory(plan, frame)
    _need_workers(plan, frame)
    if frame.prepared and not dry:
        frame, of_methods = with_prepared(frame, space, space_name, say)
        plan = planning.make_plan(name, wish, workload, frame, machine, data, space)
    plan = calibration.applied(home, plan)
    task = build_task(resolve(frame, plan.defaults[0], wish.seed))
    task.prepare()
    if not dry:
        plan = dataclasses.replace(plan, references=task.references())
    timings = kept.timings_of(machine, home.path, afresh=wish.time_afresh, make_missing=dry)
    expected = known_forecast(plan, frame, timings) if is_space_trained else None
    seconds = dataclasses.asdict(expected) if expected else {}
    said = (*of_methods, *VERDICTS.values(), *([] if expected else [UNTIMED]))
    plan = dataclasses.replace(plan, forecast=seconds, notes=(*plan.notes, *said))
    return Prepared(
        plan=plan,
        frame=frame,
        space=space,
        distributions=distributions,
        data=data,
        forecast=expected,
    )


def _need_memory(plan: Plan, frame: Frame) -> None:
    """Raises BenchError when not even one of the default configurations fits."""
    limit = plan.memory_gb
    if limit is None:
        return
    configs = [resolve(frame, params, plan.seed) for params in plan.defaults]
    if any(footprint.fit(config, limit) is not None for config in configs):
        return
    least = min(footprint.predict(config).peak_gb for config in configs)
    raise BenchError(
        f"no default configuration fits: the smallest needs {least:.1f} GB by prediction, and each "
        f"of {plan.concurrency} trials at once may use {limit:.1f} GB; lower --concurrency or "
        "take a smaller --scale"
    )


def _need_workers(plan: Plan, frame: Frame) -> None:
    """Raises BenchError where several workers cannot train one of the networks on offer."""
    if plan.workers == 1:
        return
    for params in plan.defaults:
        config = resolve(frame, params, plan.seed)
        if load_method(config.method.kind).trains:
            net = unbuilt(config.task, config.method)
            batch_norm.check(net, frame.device, plan.workers, base_name(config.method.backbone))


def begin(prepared: Prepared, home: Home, listeners: tuple[Listener, ...]) -> Engine:
    """Write the plan; the sweep exists from here on."""
    with home.beginning():
        return _begin(prepared, home, listeners)


def _begin(prepared: Prepared, home: Home, listeners: tuple[Listener, ...]) -> Engine:
    plan = prepared.plan
    folder = home.folder(plan.sweep)
    if folder.exists() and not home.taken(plan.sweep):
        shutil.rmtree(folder)  # of a driver that was killed before it wrote a first record
    try:
        folder.mkdir()
    except FileExistsError:
        raise BenchError(
            f"a sweep {plan.sweep!r} was begun meanwhile; start again, or choose a --name"
        ) from None
    journal = Journal(home.journal(plan.sweep))
    engine = Engine(
        journal,
        prepared.frame,
        prepared.space,
        prepared.frame.scale.choices,
        (*listeners, tidier(folder)),
    )
    try:
        sync_folder(folder.parent)
        engine.write("plan", **plan.body())
        _save_reference(prepared.frame, plan, folder)
    except (BenchError, OSError) as error:
        journal.close()
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, BenchError):
            raise
        raise BenchError(f"cannot write in {folder}: {error.strerror}; nothing is kept") from error
    return engine


def reopen(name: str, home: Home, listeners: tuple[Listener, ...]) -> Engine:
    """Take a sweep up again where its journal ends; the listeners hear it from its start.

    Raises:
        BenchError: no such sweep, another driver has it, or its preset or data changed.
    """
    history = home.history(name)
    _check_own_files(history)
    _, frame = planning.reopen(history.plan, data_place(history.plan, home))
    space = planning.load_space(history.plan.space)
    journal = Journal(home.journal(name))
    tidy = tidier(home.folder(name))
    if not (home.folder(name) / REFERENCE).exists():  # the driver was lost right after the plan
        _save_reference(frame, history.plan, home.folder(name))
    for record in journal.records:
        for listener in (*listeners, tidy):
            listener(record)
    return Engine(journal, frame, space, frame.scale.choices, (*listeners, tidy))


def _check_own_files(history: History) -> None:
    """BenchError where a file of the user's has changed since a trial was suggested: what is
    trained now would be booked as what was trained then."""
    for trial in history.trials.values():
        suggested = trial.suggestion
        if not any(ending in canonical(suggested.config) for ending in (".py", WEIGHTS)):
            continue
        if TrialConfig.from_dict(suggested.config).entry_id != suggested.entry_id:
            raise BenchError(
                f"a file of your own has changed since trial {suggested.trial} of sweep "
                f"{history.plan.sweep} was suggested; put it back, or start anew"
            )


def bring_back(name: str, url: str, home: Home) -> int:
    """A sweep that was begun on another machine, as its storage knows it; records added here.

    Raises:
        BenchError: the storage does not have it, or another driver has.
    """
    home.make()
    return layout.bring_back(url, name, home.journal(name))


def _save_reference(frame: Frame, plan: Plan, folder: Path) -> None:
    """Pictures of the report part, to be seen beside a trial's own."""
    with whole(folder / REFERENCE) as path:
        build_task(resolve(frame, plan.defaults[0], plan.seed)).save_reference(path)


def extend_with_confirmation(engine: Engine, of: list[int], seeds: int) -> int:
    """Ask for `seeds` new training seeds of each of these trials' entries; how many trials."""
    plan, trials = engine.plan, engine.history.trials.values()
    start = max(len(engine.history.trials), *(c["number"] + 1 for c in plan.confirm), 0)
    # seed by seed, those with the fewest first: each place among an entry's seeds is a look
    had = Counter(t.suggestion.entry_id for t in trials if t.suggestion.origin == "confirm")
    turns = [
        (had[engine.history.trials[number].suggestion.entry_id] + k, number)
        for k in range(seeds)
        for number in of
    ]
    in_turn = [number for _, number in sorted(turns, key=lambda turn: turn[0])]
    asked = [{"number": start + i, "of": number} for i, number in enumerate(in_turn)]
    engine.write(
        "extend",
        plan={
            "trials": start + len(asked),
            "confirm": [*plan.confirm, *asked],
            "budget": {},  # what was asked now is run, whatever the sweep itself had to spend
            "given_up": engine.history.begun_for_search,
            **({"race": None} if plan.race else {}),
        },
    )
    return len(asked)


def more_of(
    history: History, trials: int | None, wall_sec: float | None, device_hours: float | None
) -> Record:
    """The plan of a sweep of which more is asked: so many trials more, so much more of its budgets.

    Raises:
        BenchError: a number that is not positive, or a kind of budget the sweep does not have.
    """
    plan, limits = history.plan, history.limits
    hours = "--gpu-hours" if plan.on_gpu else "--cpu-hours"
    given = {"--trials": trials, "--wall-clock": wall_sec, hours: device_hours}
    for name, value in given.items():
        if value is not None and name not in limits:
            raise BenchError(
                f"{name} adds to a sweep's own, and {plan.sweep} has no such limit; it has "
                f"{', '.join(limits)}"
            )
    if trials is not None and trials < 1:
        raise BenchError(f"--trials must be at least 1, got {trials}")
    return {
        "trials": None if plan.trials is None else plan.trials + (trials or 0),
        "budget": dataclasses.asdict(budget.more(plan, wall_sec, device_hours)),
        "given_up": [],
        **({"race": None} if trials is not None and plan.race else {}),
    }


def best_entries(history: History, top: int, axis: str | None = None) -> list[Trial]:
    """One completed trial of each of the `top` entries that are best on `select`: of all, or of
    each choice on an axis of the cells ("cell": of all axes together).

    Raises:
        BenchError: no trial completed, or the cells have no such axis.
    """
    plan = history.plan
    if axis is not None and axis not in (*plan.cell_axes, CELL):
        known = ", ".join((*plan.cell_axes, CELL))
        raise BenchError(f"sweep {plan.sweep} has no axis {axis!r} of its cells; it has {known}")
    entries: dict[str, Trial] = {}
    for trial in barring.best_first(history):
        entries.setdefault(trial.suggestion.entry_id, trial)
    if not entries:
        raise BenchError(f"sweep {plan.sweep} has no completed trial to confirm that is not barred")
    axes = plan.cell_axes if axis == CELL else (axis,) if axis else ()
    chosen: dict[tuple[str, ...], list[Trial]] = {}
    for trial in entries.values():
        chosen.setdefault(tuple(trial.cell[a] for a in axes), []).append(trial)
    return [trial for trials in chosen.values() for trial in trials[:top]]
