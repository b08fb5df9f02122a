"""A configuration's name for people, of its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from leaderboards.scrubbing import base_name

PLAIN = ("weight_decay", "dropout", "P_mean", "P_std")  # too many to name in a label


def label(params: Mapping[str, Any], cell_axes: tuple[str, ...]) -> str:
    """A configuration's name for people: 'ddpmpp edm adam 2.0e-03 b32 wide'."""
    parts = [base_name(str(params[axis])) for axis in cell_axes if axis in params]
    if "optimizer" in params:
        parts.append(str(params["optimizer"]))
    if "lr" in params:
        parts.append(f"{params['lr']:.1e}")
    if params.get("schedule", "constant") != "constant":
        parts.append(str(params["schedule"]))
    if "batch_size" in params:
        parts.append(f"b{params['batch_size']}")
    if "width" in params:
        parts.append(str(params["width"]))
    shown = {*cell_axes, "method", "optimizer", "lr", "schedule", "batch_size", "width"}
    shown |= set(PLAIN)
    parts += [f"{k} {_short(v)}" for k, v in params.items() if k not in shown]
    return " ".join(parts)


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
