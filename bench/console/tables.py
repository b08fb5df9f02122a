"""Tables of the smaller commands: list, status, data, space, dry run."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from bench.console import opening_lines
from bench.console.clock import clock
from bench.sweep.record import journal

if TYPE_CHECKING:  # `bench list` and `bench status` need no torch
    from bench.sweep.planning.forecast import Forecast
    from bench.sweep.record.history import History
    from bench.sweep.record.home import Home
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
        return f"no sweeps in {home.path}; start one: bench sweep echo --trials 64"
    table = _table("sweep", "state", "workload", "data", "trials", "completed", "begun", left=4)
    for name in names:
        history = home.history(name)
        plan = history.plan
        begun = time.strftime("%Y-%m-%d %H:%M", time.localtime(plan["t"]))
        table.add_row(
            name,
            state(home, name, history),
            f"{plan['workload']} {plan['scale']}",
            "SIMULATED" if plan["data"]["simulated"] else plan["data"]["name"],
            f"{len(history.trials)}/{plan['trials'] or 'budget'}",
            str(len(history.with_outcome("completed"))),
            begun,
        )
    return table


def status(home: Home, name: str) -> RenderableType:
    history = home.history(name)
    plan, now = history.plan, state(home, name, history)
    # what a killed driver left without a word does not run
    names = {"running": "to go on with"} if now == "unfinished" else {}
    found = history.counts().items()
    counts = ", ".join(f"{n} {names.get(k, k)}" for k, n in found) or "no trial yet"
    asked = plan["trials"]
    total = "trials, as many as fit" if asked is None else f"of {asked} trials"
    lines: list[RenderableType] = [
        f"[bold]{name}[/]: {now}; {len(history.trials)} {total}: {counts}",
    ]
    best, final = history.best(), len(plan["rungs"]) - 1
    if best is not None:
        value = f"{plan['protocol']['metric']} {best.rungs[final]:.3g}"
        lines.append(f"best on select: {best.number:03d} {best.suggestion['label']}, {value}")
    open_trials = [t for t in history.trials.values() if t.open]
    if open_trials:
        table = _table("open trial", "kimg", "budget")
        for trial in open_trials:
            budget = trial.suggestion["config"]["train"]["budget_nimg"]
            label = f"{trial.number:03d} {trial.suggestion['label']}"
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


def data(found: dict[str, Any], notes: tuple[str, ...], picture: Path) -> RenderableType:
    table = _table("", "", left=2)
    for key, value in found.items():
        if key != "notes":
            table.add_row(key.replace("_", " "), _plain(value))
    told = [f"note: {note}" for note in notes]
    return Group(table, *told, f"thumbnails: {picture}")


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} {_plain(v)}" for k, v in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_plain(v) for v in value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def space(workload: str, scale: str) -> RenderableType:
    from bench.errors import unknown
    from bench.sweep.planning.plan_making import load_space
    from bench.workloads.workload import load as load_workload

    job = load_workload(workload)
    if scale not in job.scales:
        raise unknown(f"scale of {workload}", scale, job.scales)
    from bench.sweep.deciding.suggest import describe, distributions_of

    found = distributions_of(load_space(job.space), job.scales[scale].choices, job.space)
    return "\n".join(opening_lines.space_lines(describe(found)))


def dry_run(prepared: Prepared, found: Forecast, free_bytes: int) -> RenderableType:
    """What would run: cells, space, budget at each rung, cost and disk."""
    plan = prepared.plan
    cells = _table("cell", "setup", "kimg", "M param", "GFLOP/img", "sec a trial", left=2)
    from bench.sweep.cost.price import cost
    from bench.sweep.deciding.resolve import resolve
    from bench.sweep.planning.forecast import predict_sec

    for params in plan["defaults"]:
        config = resolve(prepared.frame, params, plan["seed"])
        price = cost(config.task, config.method)
        cells.add_row(
            params["architecture"],
            params["preconditioning"],
            f"{config.train.budget_nimg / 1000:.2f}",
            f"{price.parameters / 1e6:.2f}",
            f"{price.forward_flops / 1e9:.3f}",
            f"{predict_sec(config, plan):.0f}",
        )
    reach = ", ".join(
        f"{n:.0f} at {r:.0%}" for n, r in zip(found.trials_to_rung, plan["rungs"], strict=True)
    )
    peaks = ", ".join(f"{name} {gb:.1f}" for name, gb in found.peak_gb_of.items())
    lines: list[RenderableType] = [
        "",
        f"{_order(plan)}:",
        cells,
        "",
        "search space:",
        *opening_lines.space_lines({k: _load(d) for k, d in prepared.distributions.items()}),
        "",
        f"trials expected to reach each rung: {reach}",
        *_fits(plan, found),
        f"expected cost: {found.core_seconds:.0f} device-seconds, about "
        f"{clock(found.wall_seconds)} with {plan['concurrency']} at once (timed just now on "
        "this machine; a forecast)",
        *_between(plan, found),
        *[f"note: {note}" for note in found.notes],
        f"memory of the largest of each, by prediction: {peaks} GB"
        + (f"; a trial may use {plan['memory_gb']:.1f} GB" if plan.get("memory_gb") else ""),
        f"disk: about {found.disk_bytes / 1e6:.0f} MB for checkpoints and snapshots, "
        f"{free_bytes / 1e9:.1f} GB free; the last 2 checkpoints of a running trial are kept, "
        "of a completed one its average and EMA snapshots, of any other nothing",
    ]
    need = 2 * len(plan["cells"])
    if plan["trials"] is not None and plan["trials"] < need:
        lines.append(f"note: with fewer than {need} trials some cells will read inconclusive")
    return Group(*lines)


def _order(plan: dict[str, Any]) -> str:
    """Where trials come from, one after another."""
    if plan["sampler"] == "random":
        return "default configurations, one a cell, for comparison: every trial is drawn at random"
    drawn = plan["trials"] is not None and plan["startup_trials"] >= plan["trials"]
    last = "random draws" if drawn else "what Optuna suggests"
    return f"default configurations, one a cell; then one more a cell, then {last}"


def _fits(plan: dict[str, Any], found: Forecast) -> list[str]:
    if plan["trials"] is not None and found.trials >= plan["trials"]:
        return []
    of = f" of {plan['trials']}" if plan["trials"] is not None else ""
    return [f"trials expected to fit the sweep's budget: about {found.trials}{of}"]


def _between(plan: dict[str, Any], found: Forecast) -> list[str]:
    if not plan["prune"]:
        return []
    return [
        f"between {found.between[0]:.0f} device-seconds (pruned as hard as the rule may) and "
        f"{found.between[1]:.0f} (nothing pruned)"
    ]


def _load(text: str) -> Any:
    import json

    return json.loads(text)
