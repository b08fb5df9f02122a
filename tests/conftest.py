"""What all tests share."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.fakes.ray_niceness import EVEN

os.environ.update(EVEN)

# folders whose files begin Ray clusters, for minutes each; the longest first
LONG = ("faults", "integration")
TOGETHER = 2  # of those files, begun at once
BEGUN_BY = 0.8  # of the other files: the last long one is begun then, not at the very end


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long files spread among the others, so that few of them run at once: three Ray clusters
    on two cores starve each other. Workers take files in this order with --no-loadscope-reorder."""
    by_file: dict[Path, list[pytest.Item]] = {}
    for item in items:
        by_file.setdefault(item.path, []).append(item)
    long_files = [path for path in by_file if path.parent.name in LONG]
    long_files.sort(key=lambda path: (LONG.index(path.parent.name), path))
    short_files = [path for path in by_file if path not in long_files]
    items[:] = [item for path in spread(long_files, short_files) for item in by_file[path]]


def spread(long_files: Sequence[Path], short_files: Sequence[Path]) -> list[Path]:
    """TOGETHER long files, then the short ones with the other long ones at even distances."""
    first, later = long_files[:TOGETHER], long_files[TOGETHER:]
    gap = BEGUN_BY * len(short_files) / max(len(later), 1)
    places = {round((k + 1) * gap): path for k, path in enumerate(later)}
    order = list(first)
    for k, path in enumerate(short_files):
        order += [places[k]] if k in places else []
        order.append(path)
    return [*order, *(path for path in later if path not in order)]
