"""What processes may use of this machine, within the limits of a container or of a job."""

from __future__ import annotations

import math
import os
from pathlib import Path

import psutil

CGROUP = Path("/sys/fs/cgroup")
LIMITS = (  # names of version 2 and of version 1
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


def cores() -> int:
    """Cores that processes here may keep busy: those they may run on, and as many as a quota of
    CPU time pays for."""
    may = len(os.sched_getaffinity(0))
    return max(1, int(min([may, *(_quota(group) for group in _groups("cpu"))])))


def _quota(group: Path) -> float:
    """Cores' worth of CPU time that a control group may spend."""
    try:
        if (group / "cpu.max").exists():
            quota, period = (group / "cpu.max").read_text().split()
        else:
            quota = (group / "cpu.cfs_quota_us").read_text().strip()
            period = (group / "cpu.cfs_period_us").read_text().strip()
    except OSError:
        return math.inf
    return int(quota) / int(period) if quota.isdigit() else math.inf  # "max", -1: none


def memory_gb() -> float:
    """Memory that processes here may use: what is available now, within the limits of the
    container or of the job (control groups, of the process's own up to the root's)."""
    free = float(psutil.virtual_memory().available) / 1e9
    return min([free, *(_left_gb(group) for group in _groups("memory"))])


def _groups(kind: str) -> list[Path]:
    """Folders of this process's control groups of a kind, of version 2 and of version 1."""
    folders = []
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        _, kinds, path = line.split(":", 2)
        if kinds and kind not in kinds.split(","):
            continue
        root = CGROUP / kind if kinds else CGROUP
        group = root / path.strip("/")
        folders += [p for p in (group, *group.parents) if p == root or root in p.parents]
    return folders


def _left_gb(group: Path) -> float:
    """What a control group's limit leaves; pages of files do not count, they can be dropped."""
    for limit, used, dropped in LIMITS:
        try:
            whole, taken = (group / limit).read_text().strip(), (group / used).read_text().strip()
            stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        except OSError:
            continue
        if whole.isdigit():  # "max": none
            return (int(whole) - int(taken) + int(stat.get(dropped, 0))) / 1e9
    return math.inf
