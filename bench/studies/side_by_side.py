"""Runs a study's trials, several at once where the machine has the cores: one process a trial.

A trial has its own seed, threads and folder, so that what runs beside it changes its seconds and
nothing else.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from bench.config import TrialConfig
from bench.errors import BenchError
from bench.run import Report, run_trial


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a trial ended, and the last value of all that it measured."""

    outcome: str
    cause: str
    notes: tuple[str, ...]
    metrics: dict[str, float]


def run_all(jobs: Sequence[tuple[TrialConfig, Path]], at_once: int) -> Iterator[Ended]:
    """The ends of these trials, in their order.

    Raises:
        BenchError: a process was killed from outside.
    """
    if at_once == 1 or len(jobs) == 1:
        yield from (run_one(config, folder) for config, folder in jobs)
        return
    before = set(multiprocessing.active_children())
    context = multiprocessing.get_context("spawn")  # torch and a fork do not go together
    pool = ProcessPoolExecutor(min(at_once, len(jobs)), context, initializer=_deaf)
    try:
        yield from pool.map(run_one, *zip(*jobs, strict=True))
    except BrokenProcessPool as error:
        raise BenchError(
            "the process of a trial was killed, perhaps for want of memory; nothing is kept"
        ) from error
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for child in set(multiprocessing.active_children()) - before:
            child.terminate()
            child.join()


def run_one(config: TrialConfig, folder: Path) -> Ended:
    """One trial, in this process."""
    metrics: dict[str, float] = {}

    def hear(report: Report) -> bool:
        metrics.update(report.metrics)
        return False

    last = run_trial(config, folder, hear)
    return Ended(
        outcome=str(last.outcome), cause=last.cause, notes=tuple(last.notes), metrics=metrics
    )


def _deaf() -> None:
    """Ctrl-C is the parent's, which ends its processes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
