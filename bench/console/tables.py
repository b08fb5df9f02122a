"""Tables of the smaller commands: list, status, data, space, dry run."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from bench.console import opening_lines
from bench.console.clock import clock, moment
from bench.errors import BenchError
from bench.sweep.record import barring, journal
from bench.sweep.record.trial import ABSENT
from leaderboards.scrubbing import base_name

if TYPE_CHECKING:  # `bench list` and `bench status` need no torch
    from bench.sweep.planning.forecast import Forecast
    from bench.sweep.record.history import History
    from bench.sweep.record.home import Home
    from bench.sweep.record.plan import Plan
    from bench.sweep.running.session import Prepared


SHOW_CAUSE = ("failed", "diverged", "out-of-memory")
LOG_LINES = 6  # of a failed trial's log


def _table(*columns: str, left: int = 1) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for i, name in enumerate(columns):
        table.add_column(name, justify="left" if i < left else "right")
    return table


def state(home: Home, name: str, history: History) -> str:
    """complete, budget spent, running, or unfinished."""
    if history.ended is not None:
        return "budget spent" if history.left_open else "complete"
    return "running" if journal.is_held(home.journal(name)) else "unfinished"


def sweeps(home: Home) -> RenderableType:
    names = home.names()
    if not names:
        return escape(f"no sweeps in {home.path}; start one: bench sweep echo --trials 64")
    table = _table("sweep", "state", "workload", "data", "trials", "completed", "begun", left=4)
    for name in names:
        try:
            history = home.history(name)
            plan = history.plan
        except BenchError as error:
            table.add_row(escape(name), "unreadable", escape(str(error)), "", "", "", "")
            continue
        begun = time.strftime("%Y-%m-%d %H:%M", time.localtime(plan.t))
        table.add_row(
            name,
            state(home, name, history),
            f"{plan.workload} {plan.scale}",
            "SIMULATED" if plan.data["simulated"] else escape(plan.data["name"]),
            f"{len(history.trials)}/{plan.trials or 'budget'}",
            str(len(history.with_outcome("completed"))),
            begun,
        )
    return table


def status(home: Home, name: str) -> RenderableType:
    history = home.history(name)
    plan, now = history.plan, state(home, name, history)
    # what a killed driver left without a word does not run
    names = {"running": "to go on with"} if now == "unfinished" else {}
    states = history.counts().items()
    counts = ", ".join(f"{n} {names.get(k, k)}" for k, n in states) or "no trial yet"
    asked = plan.trials
    total = "trials, as many as fit" if asked is None else f"of {asked} trials"
    lines: list[RenderableType] = [
        f"[bold]{name}[/]: {now}; {len(history.trials)} {total}: {counts}",
    ]
    best, shut = barring.best(history), barring.barred_entries(history)
    if best is not None:
        value = f"{plan.score.key} {best.rungs[plan.last_rung]:.3g}"
        label = escape(best.suggestion.label)
        lines.append(f"best on select: {best.number:03d} {label}, {value}")
    for entry_id, failure in shut.items():
        of = next(t for t in history.trials.values() if t.suggestion.entry_id == entry_id)
        name = escape(f"{of.number:03d} {of.suggestion.label}")
        lines.append(f"barred: {name} {failure.text}")
    open_trials = [t for t in history.trials.values() if t.open]
    if open_trials:
        table = _table("open trial", "kimg", "budget")
        for trial in open_trials:
            budget = trial.suggestion.train.rungs_nimg[-1]
            label = escape(f"{trial.number:03d} {trial.suggestion.label}")
            table.add_row(label, f"{trial.nimg / 1000:.2f}", f"{trial.nimg / budget:.0%}")
        lines.append(table)
    causes = [t for t in history.trials.values() if t.outcome in SHOW_CAUSE]
    for trial in causes:
        lines.append(escape(f"{trial.outcome} {trial.number:03d}: {trial.cause}"))
        lines += [escape(f"    {line}") for line in _log_tail(home, name, trial.number)]
    for trial in history.trials.values():
        if trial.notes:
            lines.append(escape(f"note {trial.number:03d}: {'; '.join(trial.notes)}"))
    if now == "unfinished":
        lines.append(f"{history.resume} goes on with it")
    if now == "budget spent":
        more = " or ".join(history.limits)
        lines.append(f"{history.resume} with more ({more}) goes on with the open trials")
    return Group(*lines)


def _log_tail(home: Home, name: str, number: int) -> list[str]:
    """The last lines of what a failed trial left, if it left any; they stay on this disk."""
    path = home.folder(name) / "trials" / f"{number:04d}" / "error.log"
    if not path.exists():
        return []
    lines = path.read_text(errors="replace").rstrip().splitlines()
    return [*lines[-LOG_LINES:], f"(the whole of it: {path})"]


def data(description: dict[str, Any], notes: tuple[str, ...], picture: Path) -> RenderableType:
    table = _table("", "", left=2)
    for key, value in description.items():
        if key != "notes" and value not in ({}, [], None, 0):
            table.add_row(key.replace("_", " "), escape(_plain(value)))
    note_lines = [escape(f"note: {note}") for note in notes]
    return Group(table, *note_lines, escape(f"thumbnails: {picture}"))


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} {_plain(v)}" for k, v in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_plain(v) for v in value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def space(workload: str, scale: str) -> RenderableType:
    from bench.sweep.planning.plan_making import load_space
    from bench.workloads.workload import load as load_workload

    job = load_workload(workload)
    from bench.sweep.deciding.suggest import Offer, describe

    offer = Offer(
        space=load_space(job.space), choices=job.scale(scale).choices, name=job.space, fixed={}
    )
    return "\n".join(opening_lines.space_lines(describe(offer.distributions())))


def dry_run(prepared: Prepared, expected: Forecast, free_bytes: int) -> RenderableType:
    """What would run: cells, space, budget at each rung, cost and disk."""
    plan = prepared.plan
    axes = plan.cell_axes
    cells = _table(*axes, "kimg", "M param", "GFLOP/img", "sec a trial", left=len(axes))
    from bench.sweep.cost.price import cost
    from bench.sweep.deciding.resolve import resolve
    from bench.sweep.planning.forecast import predict_sec

    for params in plan.defaults:
        config = resolve(prepared.frame, params, plan.seed)
        price = cost(config.task, config.method)
        cells.add_row(
            *(escape(base_name(str(params.get(axis, ABSENT)))) for axis in axes),
            f"{config.train.budget_nimg / 1000:.2f}",
            f"{price.parameters / 1e6:.2f}",
            f"{price.forward_flops / 1e9:.3f}",
            f"{predict_sec(config, plan) or 0.0:.0f}",
        )
    reach = ", ".join(
        f"{n:.0f} at {100 * r:.3g} %"
        for n, r in zip(expected.trials_to_rung, plan.rungs, strict=True)
    )
    peaks = ", ".join(f"{base_name(name)} {gb:.1f}" for name, gb in expected.peak_gb_of.items())
    lines: list[RenderableType] = [
        "",
        f"{_order(plan)}:",
        cells,
        "",
        "search space:",
        *opening_lines.space_lines({k: _load(d) for k, d in prepared.distributions.items()}),
        "",
        f"trials expected to reach each rung: {reach}",
        *_fits(plan, expected),
        f"expected cost: {expected.core_seconds:.0f} device-seconds, about "
        f"{clock(expected.wall_seconds)} with {plan.concurrency} at once (a forecast"
        f"{_timed(expected)})",
        *[f"note: {note}" for note in expected.notes],
        f"memory of the largest of each, by prediction: {peaks} GB"
        + (f"; a trial may use {plan.memory_gb:.1f} GB" if plan.memory_gb else ""),
        f"disk: about {expected.disk_bytes / 1e6:.0f} MB for checkpoints and snapshots, "
        f"{free_bytes / 1e9:.1f} GB free; the last 2 checkpoints of a running trial are kept, "
        "of a completed one its average and EMA snapshots, of any other nothing",
    ]
    need = 2 * len(plan.cells)
    if plan.trials is not None and plan.trials < need:
        lines.append(f"note: with fewer than {need} trials some cells will read inconclusive")
    return Group(*lines)


def _timed(expected: Forecast) -> str:
    """When this machine was timed, if it was."""
    if expected.timed_at is None:
        return ""
    return f" by timings of {moment(expected.timed_at)} on this machine; --time-afresh makes new"


def _order(plan: Plan) -> str:
    """Where trials come from, one after another."""
    if plan.search == "random":
        return "default configurations, one a cell, for comparison: every trial is drawn at random"
    if plan.search == "stagewise":
        axes = ", then ".join(plan.cell_axes)
        return f"default configurations, one a cell; varied are {axes}, then each other axis alone"
    drawn = plan.trials is not None and plan.startup_trials >= plan.trials
    last = "random draws" if drawn else "what Optuna suggests"
    return f"default configurations, one a cell; then one more a cell, then {last}"


def _fits(plan: Plan, expected: Forecast) -> list[str]:
    if plan.trials is not None and expected.trials >= plan.trials:
        return []
    of = f" of {plan.trials}" if plan.trials is not None else ""
    return [f"trials expected to fit the sweep's budget: about {expected.trials}{of}"]


def _load(text: str) -> Any:
    import json

    return json.loads(text)
