"""What a sweep may spend in all: wall-clock and device seconds, read off the journal.

Device seconds are what trials occupied: GPU-seconds (a packed trial's share of its device), or
core-seconds where there is no GPU; sampling, measuring and saving are in them, since a device that
does these does nothing else. Wall seconds run from the opening of a session to its close, Ray's
start and end included, so trials are stopped CLOSING_SEC before. A budget is looked at whenever a
trial reports and by the runner in between: no reporting interval goes by unnoticed.
"""

from __future__ import annotations

import re
import statistics
from dataclasses import dataclass
from typing import Any

from bench.errors import BenchError
from bench.sweep.record.history import History, Trial

SPENT = "the sweep's budget is spent"
CLOSING_SEC = 4.0  # what taking Ray down and closing the record takes
HOUR = (3600, "h")
UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True, kw_only=True)
class Spent:
    """Seconds, and what of the budget is left of each; None where there is no such budget."""

    wall_sec: float
    device_sec: float
    wall_left: float | None
    device_left: float | None

    @property
    def over(self) -> bool:
        wall, device = self.wall_left, self.device_left
        return (wall is not None and wall <= CLOSING_SEC) or (device is not None and device <= 0)


def spent(history: History, now: float) -> Spent:
    """What the sweep has spent by `now` (seconds since the epoch, as the journal's own times)."""
    wall = history.wall_sec(now)
    limits = history.plan.get("budget") or {}
    device = history.device_sec(now)
    wall_limit, device_limit = limits.get("wall_sec"), limits.get("device_sec")
    return Spent(
        wall_sec=wall,
        device_sec=device,
        wall_left=None if wall_limit is None else wall_limit - wall,
        device_left=None if device_limit is None else device_limit - device,
    )


def limited(history: History) -> bool:
    """Whether the sweep has a budget at all."""
    return any((history.plan.get("budget") or {}).values())


def too_little_left(history: History, now: float) -> bool:
    """Whether a trial begun now would not be expected to reach its first rung.

    The median of those that did is asked; with none yet, a trial may begin.
    """
    if not limited(history):
        return False
    found = spent(history, now)
    if found.over:
        return True
    times = [(_seconds(t), t.devices) for t in history.trials.values() if 0 in t.rungs]
    if not times:
        return False
    need = statistics.median(seconds for seconds, _ in times)
    share = statistics.median(count for _, count in times)
    # what the trials already running need until they, too, stand at a rung comes first
    together = need * share * (1 + len(history.at_work))
    short_of_wall = found.wall_left is not None and found.wall_left < need
    return short_of_wall or (found.device_left is not None and found.device_left < together)


def _seconds(trial: Trial) -> float:
    return float(sum(trial.rung_seconds[0].values()))


def seconds_of(text: str) -> float:
    """Seconds in a duration such as 90s, 30m, 2h, 1h30m, 2d.

    Raises:
        BenchError: it is none.
    """
    parts = re.findall(r"(\d+(?:\.\d+)?)([smhd])", text)
    whole = "".join(f"{number}{unit}" for number, unit in parts)
    total = sum(float(number) * UNITS[unit] for number, unit in parts)
    if whole != text or total <= 0:
        raise BenchError(f"{text!r} is no duration; write it as 90s, 30m, 2h or 1h30m")
    return total


def left_text(found: Spent, gpu: bool) -> list[str]:
    """What is spent and what is left, of each budget that was given."""
    device = "GPU-hours" if gpu else "CPU-hours"
    lines = []
    if found.wall_left is not None:
        lines.append(_line("wall clock", found.wall_sec, found.wall_left, 60, "min"))
    if found.device_left is not None:
        short = found.device_sec + found.device_left < 3600
        lines.append(
            _line(device, found.device_sec, found.device_left, *((60, "min") if short else HOUR))
        )
    return lines


def _line(name: str, used: float, left: float, unit_sec: float, unit: str) -> str:
    total, over = used + left, "over" if left < 0 else "unspent"
    return (
        f"{name}: {used / unit_sec:.2f} of {total / unit_sec:.2f} {unit} spent, "
        f"{abs(left) / unit_sec:.2f} {unit} {over}"
    )


def make(wall_sec: float | None, device_hours: float | None) -> dict[str, Any]:
    """The plan's "budget".

    Raises:
        BenchError: a budget that is not positive and finite, or too short to end in.
    """
    if device_hours is not None and not 0 < device_hours < float("inf"):
        raise BenchError(
            f"--gpu-hours (--cpu-hours) must be positive and finite, got {device_hours}"
        )
    if wall_sec is not None and wall_sec <= CLOSING_SEC:
        raise BenchError(
            f"--wall-clock {wall_sec:g}s: to end a session takes {CLOSING_SEC:g} s; give it more"
        )
    device = None if device_hours is None else device_hours * 3600
    return {"wall_sec": wall_sec, "device_sec": device}


def more(
    plan: dict[str, Any], wall_sec: float | None, device_hours: float | None
) -> dict[str, Any]:
    """The plan's budget with this much added; a kind that was unlimited stays so."""
    given = make(wall_sec, device_hours)
    before = plan.get("budget") or {}
    return {
        key: None if before.get(key) is None else before[key] + (given[key] or 0.0)
        for key in ("wall_sec", "device_sec")
    }
