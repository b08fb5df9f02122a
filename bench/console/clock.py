"""Seconds as people read them."""

from __future__ import annotations

import time


def clock(seconds: float) -> str:
    """'4:07', or '2:03:20' past an hour."""
    minutes, sec = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{sec:02d}" if hours else f"{minutes}:{sec:02d}"


def moment(t: float) -> str:
    """Seconds since the epoch as local date and time."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(t))
