"""The workloads that tests of whole sweeps take as a parameter, at smoke scale.

Further workloads have fewer trials than echo, and the longest tests take one workload each, by
turns, so that the suite stays short; with BENCH_EVERY_WORKLOAD=1 each takes them all. A user's own
workload in one file has tests/integration/test_volumes.py.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import pytest

from bench.workloads.workload import WORKLOADS

FURTHER = ("chexpert", "birds", "chexpert_generate", "brats")
EVERY = os.environ.get("BENCH_EVERY_WORKLOAD") == "1"


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


def by_turns(*names: str) -> pytest.MarkDecorator:
    """The parameter `workload`: these by name, or all of them where every one is asked for."""
    chosen = [case for case in CASES if EVERY or case.name in names]
    return pytest.mark.parametrize("workload", chosen, ids=lambda workload: workload.name)
