"""The first lines of a sweep: what can be claimed, on what machine, data, extractor and scale."""

from __future__ import annotations

from typing import Any

from bench.sweep.deciding.promote import FINALISTS, held_from
from bench.sweep.record.plan import Plan
from leaderboards.claims import describe_protocol
from leaderboards.scrubbing import base_name


def opening(plan: Plan, notes: tuple[str, ...]) -> list[str]:
    """Lines for the terminal; `notes` are the data's own, file names included."""
    data, scale = plan.data, plan.scale
    subjects = ", ".join(f"{n} {part}" for part, n in data["subjects"].items())
    frames = sum(data["frames"].values())
    kind = "SIMULATED" if data["simulated"] else "real"
    lines = [
        f"sweep {plan.sweep}: {_extent(plan)} of {plan.workload} at {scale} scale",
        f"device: {plan.device['text']}",
        f"data: {kind}, {data['name']}: {frames} frames, subjects {subjects}; "
        f"sigma_data {data['sigma_data']:.3f}",
        f"score: {describe_protocol(plan.protocol)}",
        _pruning(plan) if plan.prune else "no pruning: every trial runs to its end",
    ]
    lines += [f"note: {note}" for note in (*notes, *plan.notes)]
    return lines


def _pruning(plan: Plan) -> str:
    """Where trials are judged, and which go on."""
    passed = zip(plan.rungs, plan.keep, strict=False)
    rungs = ", ".join(f"{100 * k:.3g} % at {100 * r:.3g} %" for r, k in passed)
    return (
        f"rungs: the best {rungs} of the budget go on, the others wait to be promoted; two trials "
        f"of each cell reach {100 * plan.rungs[plan.cell_rung]:.3g} % in any case; nobody passes "
        f"{100 * plan.rungs[held_from(plan)]:.3g} % before no more are begun, and {FINALISTS} at "
        "least reach the end then"
    )


def _extent(plan: Plan) -> str:
    """How many trials, and within which budgets."""
    budget, gpu = plan.budget, plan.device["gpus"]
    limits = []
    if budget.wall_sec is not None:
        limits.append(f"{budget.wall_sec / 60:.3g} min of wall clock")
    if budget.device_sec is not None:
        hours = f"{budget.device_sec / 3600:g}"
        limits.append(f"{hours} GPU-hours" if gpu else f"{hours} CPU-hours (there is no GPU)")
    count = "as many trials as fit" if plan.trials is None else f"{plan.trials} trials"
    return f"{count} in {' and '.join(limits)}" if limits else count


def space_lines(distributions: dict[str, Any]) -> list[str]:
    """A search space, a parameter a line."""
    lines = []
    for name, spec in distributions.items():
        body = spec["attributes"]
        if "choices" in body:
            text = ", ".join(base_name(str(c)) for c in body["choices"])
        else:
            text = f"{body['low']:g} to {body['high']:g}" + (", log" if body.get("log") else "")
        lines.append(f"{name:16} {text}")
    return lines
