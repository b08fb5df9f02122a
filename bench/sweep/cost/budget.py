"""What a sweep may spend in all: wall-clock and device seconds, read off the journal.

Device seconds are what trials occupied: GPU-seconds (a packed trial's share of its device), or
core-seconds where there is no GPU; sampling, measuring and saving are in them, since a device that
does these does nothing else. Wall seconds run from the opening of a session to its close, Ray's
start and end included, so trials are stopped CLOSING_SEC before. A budget is looked at whenever a
trial reports and by the runner in between: no reporting interval goes by unnoticed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from bench.errors import BenchError
from bench.sweep.record.history import History
from bench.sweep.record.plan import Plan, SweepBudget

SPENT = "the sweep's budget is spent"
CLOSING_SEC = 4.0  # what taking Ray down and closing the record takes
HOUR = (3600, "h")
MOST_SEC = 3.2e8  # ten years: longer is a slip of the pen
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
    device = history.device_sec(now)
    wall_limit, device_limit = history.plan.budget.wall_sec, history.plan.budget.device_sec
    return Spent(
        wall_sec=wall,
        device_sec=device,
        wall_left=None if wall_limit is None else wall_limit - wall,
        device_left=None if device_limit is None else device_limit - device,
    )


def limited(history: History) -> bool:
    """Whether the sweep has a budget at all."""
    return history.plan.budget.limited


def too_little_left(history: History, now: float) -> bool:
    """Whether a trial begun now would not be expected to reach its first rung.

    The median of those that did is asked; with none yet, a trial may begin.
    """
    if not limited(history):
        return False
    spent_so_far = spent(history, now)
    if spent_so_far.over:
        return True
    first_rung = history.first_rung()
    if first_rung is None:
        return False
    need, share = first_rung
    # what the trials already running need until they, too, stand at a rung comes first
    together = need * share * (1 + len(history.at_work))
    wall_left, device_left = spent_so_far.wall_left, spent_so_far.device_left
    short_of_wall = wall_left is not None and wall_left < need
    return short_of_wall or (device_left is not None and device_left < together)


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


def left_text(spent_so_far: Spent, gpu: bool) -> list[str]:
    """What is spent and what is left, of each budget that was given."""
    device = "GPU-hours" if gpu else "CPU-hours"
    lines = []
    wall_left, device_left = spent_so_far.wall_left, spent_so_far.device_left
    if wall_left is not None:
        lines.append(_line("wall clock", spent_so_far.wall_sec, wall_left, 60, "min"))
    if device_left is not None:
        used = spent_so_far.device_sec
        unit = (60, "min") if used + device_left < 3600 else HOUR
        lines.append(_line(device, used, device_left, *unit))
    return lines


def _line(name: str, used: float, left: float, unit_sec: float, unit: str) -> str:
    total, over = used + left, "over" if left < 0 else "unspent"
    return (
        f"{name}: {used / unit_sec:.2f} of {total / unit_sec:.2f} {unit} spent, "
        f"{abs(left) / unit_sec:.2f} {unit} {over}"
    )


def make(wall_sec: float | None, device_hours: float | None) -> SweepBudget:
    """The plan's budget.

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
    if wall_sec is not None and wall_sec > MOST_SEC:
        raise BenchError(f"--wall-clock {wall_sec:g}s is longer than ten years; leave it out")
    device = None if device_hours is None else device_hours * 3600
    return SweepBudget(wall_sec=wall_sec, device_sec=device)


def more(plan: Plan, wall_sec: float | None, device_hours: float | None) -> SweepBudget:
    """The plan's budget with this much added; a kind that was unlimited stays so."""
    given, before = make(wall_sec, device_hours), plan.budget

    def added(limit: float | None, extra: float | None) -> float | None:
        return None if limit is None else limit + (extra or 0.0)

    return SweepBudget(
        wall_sec=added(before.wall_sec, given.wall_sec),
        device_sec=added(before.device_sec, given.device_sec),
    )
