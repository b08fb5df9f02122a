"""What tests of the command line share: a command's answer, and what a refusal is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

SMOKE = ("--scale", "smoke")


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str


Bench = Callable[..., Said]


def refused(said: Said, home: Path, *parts: str) -> None:
    """One line with all `parts`, exit code 2, and no sweep begun."""
    assert said.code == 2, said
    assert said.err.count("\n") == 1, said.err
    assert said.err.startswith("bench")
    assert "Traceback" not in said.err + said.out
    for part in parts:
        assert part in said.err
    sweeps = home / "sweeps"
    assert not sweeps.is_dir() or not list(sweeps.iterdir())
