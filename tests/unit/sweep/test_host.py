"""What processes may use here, within control groups."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest

from bench.sweep.cost import host


def test_what_is_here_is_no_less_than_something() -> None:
    assert 1 <= host.cores() <= len(os.sched_getaffinity(0))
    assert 0 < host.memory_gb() < 10_000


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"cpu.max": "800000 100000"}, 8.0),
        ({"cpu.max": "max 100000"}, math.inf),
        ({"cpu.cfs_quota_us": "250000", "cpu.cfs_period_us": "100000"}, 2.5),
        ({"cpu.cfs_quota_us": "-1", "cpu.cfs_period_us": "100000"}, math.inf),
        ({}, math.inf),
    ],
)
def test_a_quota_of_cpu_time_is_so_many_cores(
    tmp_path: Path, files: dict[str, str], cores: float
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text + "\n")
    assert host._quota(tmp_path) == cores


def test_the_least_of_the_quotas_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)))
    monkeypatch.setattr(host, "_groups", lambda kind: [Path("a"), Path("b")])
    monkeypatch.setattr(host, "_quota", lambda group: {"a": 8.5, "b": math.inf}[str(group)])
    assert host.cores() == 8


@pytest.mark.parametrize("names", host.LIMITS, ids=["version 2", "version 1"])
def test_a_limit_leaves_what_is_used_but_for_pages_of_files(
    tmp_path: Path, names: tuple[str, str, str]
) -> None:
    limit, used, dropped = names
    assert host._left_gb(tmp_path) == float("inf")  # no such controller
    for name, text in ((limit, "8000000000"), (used, "5000000000")):
        (tmp_path / name).write_text(text + "\n")
    (tmp_path / "memory.stat").write_text(f"active_file 7\n{dropped} 2000000000\n")
    assert host._left_gb(tmp_path) == pytest.approx(8 - 5 + 2)
    (tmp_path / limit).write_text("max\n")
    assert host._left_gb(tmp_path) == float("inf")
