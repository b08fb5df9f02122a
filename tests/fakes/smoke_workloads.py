"""The workloads that tests of whole sweeps take as a parameter, at smoke scale.

echo, and the program's further workloads as far as its table has them. Those have fewer trials: the
suite must stay short. A user's own workload in one file has tests/integration/test_volumes.py.
"""

from __future__ import annotations

from dataclasses import dataclass

from bench.workloads.workload import WORKLOADS

FURTHER = ("chexpert", "birds")


@dataclass(frozen=True, kw_only=True)
class SmokeWorkload:
    """A workload, and how many trials are enough to see it run: no more than are never pruned."""

    name: str
    trials: int

    @property
    def sweep(self) -> str:
        """The name of the first sweep in a home."""
        return f"{self.name}-1"

    @property
    def command(self) -> tuple[str, ...]:
        return ("sweep", self.name, "--scale", "smoke", "--trials", str(self.trials))


ECHO = SmokeWorkload(name="echo", trials=5)
CASES = (ECHO, *(SmokeWorkload(name=n, trials=4) for n in FURTHER if n in WORKLOADS.table))
