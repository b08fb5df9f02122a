"""The first lines of a sweep: what can be claimed, on what machine, data, extractor and scale."""

from __future__ import annotations

from typing import Any

from leaderboards.claims import describe_protocol


def opening(plan: dict[str, Any], notes: tuple[str, ...]) -> list[str]:
    """Lines for the terminal; `notes` are the data's own, file names included."""
    data, scale = plan["data"], plan["scale"]
    subjects = ", ".join(f"{n} {part}" for part, n in data["subjects"].items())
    frames = sum(data["frames"].values())
    kind = "SIMULATED" if data["simulated"] else "real"
    lines = [
        f"sweep {plan['sweep']}: {plan['trials']} trials of {plan['workload']} at {scale} scale",
        f"device: {plan['device']['text']}",
        f"data: {kind}, {data['name']}: {frames} frames, subjects {subjects}; "
        f"sigma_data {data['sigma_data']:.3f}",
        f"score: {describe_protocol(plan['protocol'])}",
        f"rungs at {', '.join(f'{r:.0%}' for r in plan['rungs'])} of the budget; past each but the "
        f"last goes the best {', '.join(f'{k:.0%}' for k in plan['keep'])}"
        if plan["prune"]
        else "no pruning: every trial runs to its end",
    ]
    lines += [f"note: {note}" for note in (*notes, *plan["notes"])]
    return lines


def space_lines(distributions: dict[str, Any]) -> list[str]:
    """A search space, a parameter a line."""
    lines = []
    for name, spec in distributions.items():
        body = spec["attributes"]
        if "choices" in body:
            text = ", ".join(str(c) for c in body["choices"])
        else:
            text = f"{body['low']:g} to {body['high']:g}" + (", log" if body.get("log") else "")
        lines.append(f"{name:16} {text}")
    return lines
