"""What a sweep will cost: core-seconds from a short timing of each architecture, and disk.

The timing runs a few training steps and sampling passes of every architecture's default network on
noise, here and now; the number of trials that reach each rung is what the pruning rule keeps on
average. A forecast, not a promise: it is printed as such.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import torch

from bench.config import TrialConfig
from bench.diffusion import samplers
from bench.sweep.engine import PROTECTED
from bench.sweep.resolve import Frame, cost, resolve
from bench.train import checkpoint
from bench.train.objective import Batch, build

STEPS = 2
COPIES = 6  # weights, two moments, three averages in a full checkpoint
FULL, HALF = 4, 2  # bytes


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """Expected cost of a sweep."""

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
    names = list(firsts)
    configs = [resolve(frame, firsts[a], plan["seed"]) for a in names]
    reach = expected_reach(plan["trials"], len(plan["cells"]), plan["keep"], plan["prune"])
    trial_sec, total, kept_bytes, running_bytes = {}, 0.0, 0.0, 0.0
    for name, config in zip(names, configs, strict=True):
        train, evaluate = _time(config)
        trial_sec[name] = train + evaluate * (len(plan["rungs"]) + _final_share(config))
        share = 1 / len(names)
        for i, fraction in enumerate(plan["rungs"]):
            step = fraction - (plan["rungs"][i - 1] if i else 0.0)
            total += share * reach[i] * (train * step + evaluate)
        total += share * reach[-1] * evaluate * _final_share(config)
        size = cost(config.task, config.method).parameters
        snapshots = min(len(plan["rungs"]) - 1, config.train.snapshots)
        averages = len(config.train.ema_sigma_rel)
        kept_bytes += share * reach[-1] * size * (FULL + HALF * averages * snapshots)
        running_bytes += share * plan["concurrency"] * size * COPIES * FULL * checkpoint.KEEP
    return Forecast(
        trials_to_rung=reach,
        trial_seconds=trial_sec,
        core_seconds=total,
        wall_seconds=total / plan["concurrency"],
        disk_bytes=int(kept_bytes + running_bytes),
    )


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
