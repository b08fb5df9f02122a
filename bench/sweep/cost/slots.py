"""Shares of a GPU for trials packed on it by their predicted memory.

Few sizes, because Tune keeps an actor for the next trial only if that asks for the same share:
with a share of its own for every trial, each would start a process. Seconds and images/s of packed
trials are those of a shared device, and every record says so.
"""

from __future__ import annotations

SIZES = (0.125, 0.25, 0.5, 1.0)  # of one device
MOST = round(1 / SIZES[0])  # trials on one device
MARGIN = 1.1  # predictions have been under the truth by up to a tenth


def slot(peak_gb: float, device_gb: float) -> float:
    """The smallest share of a device that holds a trial's predicted peak; the whole, if none."""
    need = peak_gb * MARGIN / device_gb
    return next((size for size in SIZES if need <= size), SIZES[-1])
