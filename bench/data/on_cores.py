"""Work of a data set, shared between the cores of this machine: one process a core.

Each process has one thread for its sums: a linear algebra library that takes all cores in each
of them makes all of them slower.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
MOST = 16  # processes: each imports what it needs, and takes memory for it


def in_order(work: Callable[[int], T], count: int, *, worth_it: bool) -> list[T]:
    """work(0), work(1), ... work(count - 1), which may be pickled, and so may what it returns.

    worth_it: it takes longer than the second in which processes come up.
    """
    processes = min(len(os.sched_getaffinity(0)), count, MOST)
    if processes == 1 or not worth_it:
        return list(map(work, range(count)))
    fresh = multiprocessing.get_context("spawn")  # a fork of a process with threads may hang
    with _environment(ONE_THREAD), ProcessPoolExecutor(processes, fresh) as pool:
        return list(pool.map(work, range(count), chunksize=4))


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """With these for the processes that are begun in the block."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
