"""Energy, where the device counts it: NVIDIA's own counter, or Intel's RAPL on a Linux CPU.

A counter gives joules since some moment of its own. Both count the whole device: what else runs on
it at the time, other trials included, is in the number. Where there is no counter that may be read
(since 2020 RAPL mostly needs root), there is no number. Nothing is estimated from a power limit.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

POWERCAP = Path("/sys/class/powercap")
ABSENT = "energy is not reported by this device, so that nothing is said of it"
Counter = Callable[[], float]  # joules, rising


def counter_of(device: str | torch.device, powercap: Path = POWERCAP) -> Counter | None:
    """The device's counter; None where there is none that may be read."""
    here = torch.device(device)
    found = _nvidia(here) if here.type == "cuda" else _rapl(powercap)
    try:
        if found is not None:
            found()
    except Exception:  # a driver without it, a file without leave: whatever it raises, none
        return None
    return found


def _nvidia(device: torch.device) -> Counter | None:
    """NVML's count, in millijoules, of GPUs since Volta; needs the package nvidia-ml-py."""
    try:
        import pynvml
    except ImportError:
        return None

    def joules() -> float:
        handle = torch.cuda._get_pynvml_handler(device)
        return float(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1e3

    return joules


def _rapl(powercap: Path) -> Counter | None:
    """All packages of the machine, in microjoules; a count that starts again at its range is
    carried on."""
    packages = sorted(p for p in powercap.glob("intel-rapl:*") if p.name.count(":") == 1)
    if not packages:
        return None
    last: dict[Path, int] = {}
    total = 0.0

    def joules() -> float:
        nonlocal total
        for package in packages:
            now = int((package / "energy_uj").read_text())
            before = last.get(package, now)
            if now < before:
                before -= int((package / "max_energy_range_uj").read_text())
            total += (now - before) / 1e6
            last[package] = now
        return total

    return joules
