"""What a sweep will cost: core-seconds from a short timing of each architecture, and disk.

The timing runs a few training steps and sampling passes of every architecture's default network on
noise, here and now; the number of trials that reach each rung is what the pruning rule keeps on
average. A forecast, not a promise: it is printed as such.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from bench.config import TrialConfig
from bench.diffusion import samplers
from bench.sweep import budget, footprint
from bench.sweep.engine import PROTECTED
from bench.sweep.history import History
from bench.sweep.resolve import Frame, cost, resolve
from bench.train import checkpoint
from bench.train.objective import Batch, build

STEPS = 2
RAY_SEC, START_SEC = 5.0, 6.0  # of Ray, and of a trial's process with its imports; measured here
MOST = 1_000_000  # trials that are looked for in a budget
COPIES = 6  # weights, two moments, three averages in a full checkpoint
FULL, HALF = 4, 2  # bytes


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """Expected cost of a sweep."""

    trials: int  # as many as were asked for, or are expected to fit its budget
    peak_gb: float  # of the trial that needs most, predicted
    trials_to_rung: list[float]  # how many trials are expected to reach each rung
    trial_seconds: dict[str, float]  # of one full-budget trial, by architecture
    core_seconds: float
    wall_seconds: float
    disk_bytes: int


def expected_reach(trials: int, cells: int, keep: list[float], prune: bool) -> list[float]:
    """How many trials reach each rung, the last included."""
    safe = min(trials, PROTECTED * cells) if prune else trials
    free = float(trials - safe)
    reach = [safe + free]
    for share in keep:
        free *= share if prune else 1.0
        reach.append(safe + free)
    return reach


def forecast(plan: dict[str, Any], frame: Frame) -> Forecast:
    """Time the default networks and add up."""
    firsts = {p["architecture"]: p for p in reversed(plan["defaults"])}
    configs = {a: resolve(frame, p, plan["seed"]) for a, p in firsts.items()}
    timed = {a: _time(c) for a, c in configs.items()}
    devices = frame.workers * (1 if frame.device == "cuda" else frame.threads)

    def seconds(trials: int) -> float:
        """Of all trials together, their processes' start included."""
        reach = expected_reach(trials, len(plan["cells"]), plan["keep"], plan["prune"])
        total = START_SEC * plan["concurrency"]
        for name, config in configs.items():
            train, evaluate = timed[name]
            for i, fraction in enumerate(plan["rungs"]):
                step = fraction - (plan["rungs"][i - 1] if i else 0.0)
                total += reach[i] / len(configs) * (train * step + evaluate)
            total += reach[-1] / len(configs) * evaluate * _final_share(config)
        return float(total)

    trials = plan["trials"] or _fitting(plan, seconds, devices)
    reach = expected_reach(trials, len(plan["cells"]), plan["keep"], plan["prune"])
    kept = running = 0.0
    for config in configs.values():
        size = cost(config.task, config.method).parameters / len(configs)
        snapshots = min(len(plan["rungs"]) - 1, config.train.snapshots)
        averages = len(config.train.ema_sigma_rel)
        kept += reach[-1] * size * (FULL + HALF * averages * snapshots)
        running += plan["concurrency"] * size * COPIES * FULL * checkpoint.KEEP
    total = seconds(trials)
    return Forecast(
        trials=trials,
        peak_gb=max(footprint.predict(c).peak_gb for c in configs.values()),
        trials_to_rung=reach,
        trial_seconds={
            a: timed[a][0] + timed[a][1] * (len(plan["rungs"]) + _final_share(c))
            for a, c in configs.items()
        },
        core_seconds=total * devices,
        wall_seconds=RAY_SEC + total / plan["concurrency"],
        disk_bytes=int(kept + running),
    )


def _fitting(plan: dict[str, Any], seconds: Callable[[int], float], devices: float) -> int:
    """How many trials a sweep's own budgets are expected to hold."""
    limits = plan["budget"]
    room = []
    if limits["wall_sec"] is not None:
        room.append((limits["wall_sec"] - RAY_SEC - budget.CLOSING_SEC) * plan["concurrency"])
    if limits["device_sec"] is not None:
        room.append(limits["device_sec"] / devices)
    low, high = 1, 2
    while seconds(high) < min(room) and high < MOST:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if seconds(middle) <= min(room) else (low, middle)
    return low


def compared(
    told: dict[str, Any] | None, history: History, wall_sec: float
) -> dict[str, tuple[float, float]] | None:
    """What was forecast and what was: device_sec, wall_sec, peak_gb.

    None where there was no forecast, or the sweep was taken up again, so that not all of it is
    what was timed.
    """
    if not told or sum(s["event"] == "open" for s in history.sessions) != 1:
        return None
    trials = history.trials.values()
    peaks = [t.metrics.get("throughput/peak_mem_gb", 0.0) for t in trials]
    return {
        "device_sec": (told["core_seconds"], sum(t.wall_sec * budget.devices(t) for t in trials)),
        "wall_sec": (told["wall_seconds"], wall_sec),
        "peak_gb": (told["peak_gb"], max(peaks, default=0.0)),
    }


def _final_share(config: TrialConfig) -> float:
    """The last look, at `report`, in units of a rung's evaluation."""
    return config.measure.n_report / config.measure.n_select


def _time(config: TrialConfig) -> tuple[float, float]:
    """Seconds of training the whole budget, and of one rung's sampling."""
    torch.set_num_threads(config.train.threads)
    objective = build(config)
    shape = (config.task.channels, *config.task.spatial)
    target = torch.zeros(config.train.batch_size, *shape)
    samples = range(config.train.batch_size)

    def step() -> None:
        torch.autograd.backward(objective.terms(Batch(target=target), samples, 0).loss.mean())

    step()
    begin = time.perf_counter()
    for _ in range(STEPS):
        step()
    per_image = (time.perf_counter() - begin) / (STEPS * len(samples))
    predictor = objective.predictor(objective.net, 0)
    count = min(config.measure.n_select, config.sample.batch_size)
    x, sigma = torch.zeros(count, *shape), torch.ones(count)
    predictor.denoise(x, sigma)
    begin = time.perf_counter()
    predictor.denoise(x, sigma)
    per_call = (time.perf_counter() - begin) / count
    nfe = samplers.nfe(config.sample.sampler, config.sample.steps)
    return per_image * config.train.budget_nimg, per_call * nfe * config.measure.n_select
