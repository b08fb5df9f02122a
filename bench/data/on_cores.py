"""Work of a data set, shared between the cores of this machine: one process a core.

Each process has one thread for its sums: a linear algebra library that takes all cores in each
of them makes all of them slower. By joblib, whose processes do not run the main script again, as
those of multiprocessing would.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

MOST = 16  # processes: each imports what it needs, and takes memory for it


def in_order(work: Callable[[int], T], count: int, *, worth_it: bool) -> list[T]:
    """work(0), work(1), ... work(count - 1), which may be pickled, and so may what it returns.

    worth_it: it takes longer than the second in which processes come up.
    """
    processes = min(len(os.sched_getaffinity(0)), count, MOST)
    if processes == 1 or not worth_it:
        return list(map(work, range(count)))
    from joblib import Parallel, delayed, parallel_config
    from joblib.externals.loky import get_reusable_executor

    try:
        with parallel_config("loky", n_jobs=processes, inner_max_num_threads=1):
            return list(Parallel()(delayed(work)(place) for place in range(count)))
    finally:
        get_reusable_executor().shutdown()  # they would wait for more work, and keep their memory
