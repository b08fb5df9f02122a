"""Fake workloads of another kind, in 2D and 3D: restore, by regression or drawn by diffusion.

The schema test runs them as a user's file: "tests/fakes/restore.py:VOLUMES". No cache and no
extractor: pictures are smooth blobs keyed by their number, a mean squared error is measured.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.config import TrialConfig
from bench.streams import normal, uniform
from bench.train.objective import Batch, Terms
from bench.workloads.workload import Clock, Evaluation, Workload

HERE = Path(__file__)
NOISE = 0.5


def blobs(indices: Sequence[int], shape: tuple[int, ...]) -> Tensor:
    """float32 [N, C, *spatial] in [-1, 1]: a Gaussian bump at a place of the sample's own."""
    grids = torch.meshgrid(*(torch.linspace(-1, 1, s) for s in shape[1:]), indexing="ij")
    places = [uniform(0, f"place{axis}", indices) for axis in range(len(grids))]
    square = torch.zeros(len(indices), *shape[1:])
    for grid, place in zip(grids, places, strict=True):
        at = torch.as_tensor(place, dtype=torch.float32).view(-1, *(1,) * grid.ndim)
        square = square + (grid - (at - 0.5)) ** 2
    bump = 2 * torch.exp(-4 * square) - 1
    return bump[:, None].expand(-1, shape[0], *shape[1:]).contiguous()


class RestoreTask:
    """Noisy picture in, clean picture out; any number of spatial dimensions."""

    def __init__(self, config: TrialConfig) -> None:
        self.config = config
        self.shape = (config.task.channels, *config.task.spatial)

    def batch(self, samples: Sequence[int], seed: int) -> Batch:
        clean = blobs(samples, self.shape)
        noise = torch.from_numpy(normal(seed, "damage", samples, self.shape))
        return Batch(target=clean, condition=clean + NOISE * noise)

    def evaluate(self, predictor: Any, part: str, clock: Clock) -> Evaluation:
        count = self.config.measure.n_report if part == "report" else self.config.measure.n_select
        first = {"select": 10_000, "report": 20_000}[part]
        held_out = self.batch(range(first, first + count), seed=1)
        with clock.phase("sample") as done:
            made = predictor.restore(held_out.condition)
            done(count)
        with clock.phase("measure"):
            error = float((made - held_out.target).square().mean())
            identity = float((held_out.condition - held_out.target).square().mean())
        pictures = ((made.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).numpy()
        metrics = {"mse": error, "relative_mse": error / identity}
        return Evaluation(metrics=metrics, value=error, pictures=pictures)


class GenerateTask(RestoreTask):
    """Draw pictures like the blobs; judged by the mean picture alone."""

    def batch(self, samples: Sequence[int], seed: int) -> Batch:
        return Batch(target=blobs(samples, self.shape))

    def evaluate(self, predictor: Any, part: str, clock: Clock) -> Evaluation:
        with clock.phase("sample") as done:
            made = predictor.generate(4, f"sample/{part}")
            done(4)
        with clock.phase("measure"):
            mean = torch.from_numpy(made.images.astype(np.float32) / 127.5 - 1).mean(0)
            error = float((mean - blobs(range(64), self.shape).mean(0)).square().mean())
        return Evaluation(metrics={"mse": error}, value=error, pictures=made.images)


class Restorer:
    """Regression's predictor."""

    def __init__(self, net: nn.Module) -> None:
        self.net = net

    @torch.no_grad()
    def restore(self, x: Tensor) -> Tensor:
        result: Tensor = self.net(x)
        return result


class Direct:
    """Regression: two convolutions from the condition to the target, no noise levels."""

    def __init__(self, config: TrialConfig) -> None:
        width = int(config.method.backbone_args["width"])
        convolution = {2: nn.Conv2d, 3: nn.Conv3d}[len(config.task.spatial)]
        c = config.task.channels
        self.net: nn.Module = nn.Sequential(
            convolution(c, width, 3, padding=1), nn.SiLU(), convolution(width, c, 3, padding=1)
        )

    def terms(self, batch: Batch, samples: Sequence[int], seed: int) -> Terms:
        assert batch.condition is not None
        return Terms(loss=(self.net(batch.condition) - batch.target).square().flatten(1).mean(1))

    def predictor(self, net: nn.Module, seed: int) -> Restorer:
        return Restorer(copy.deepcopy(net).eval())


def _workload(name: str, task: str) -> Workload:
    return Workload(
        name=name,
        title="fake",
        source="this file",
        reader="none",
        task=f"{HERE}:{task}",
        space="echo",
        scales={},
        metric="mse",
    )


PICTURES = _workload("pictures", "RestoreTask")
VOLUMES = _workload("volumes", "RestoreTask")
GENERATED = _workload("generated", "GenerateTask")
