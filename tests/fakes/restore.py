"""Fake tasks of other kinds, in 2D and 3D: restore and generate, as a user's file.

The schema test names them "tests/fakes/restore.py:RestoreTask". No cache and no extractor: pictures
are smooth blobs keyed by their number; a mean squared error is measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backbones.inputs import Inputs
from bench.conditions import NOTHING, Condition
from bench.config import TaskConfig
from bench.data.cache import CachedImages
from bench.metrics.metric import Estimates, Evidence, Metric
from bench.predictions import Cases, Predictions, no_condition
from bench.streams import normal, uniform
from bench.tasks.task import Task
from bench.train.objective import Batch
from leaderboards.measures import Measure

HERE = Path(__file__)
NOISE = 0.5
FIRST = {"select": 10_000, "report": 20_000}  # numbers of the held-out blobs


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


def as_array(x: Tensor) -> NDArray[np.float32]:
    return x.clamp(-1, 1).float().cpu().numpy()


class SquaredError(Metric):
    """Mean over cases of the mean squared error."""

    needs: ClassVar[frozenset[str]] = frozenset({"targets"})

    @property
    def measures(self) -> tuple[Measure, ...]:
        return (Measure(key="mse", title="MSE", direction="lower"),)

    def estimate(self, evidence: Evidence) -> Estimates:
        assert evidence.targets is not None
        gap = evidence.predictions.values.astype(np.float64) - evidence.targets
        return {"mse": float(np.square(gap).mean())}


class MeanSquaredError(SquaredError):
    """The squared error of the mean picture alone, for pictures that are drawn from nothing."""

    def estimate(self, evidence: Evidence) -> Estimates:
        assert evidence.targets is not None
        gap = evidence.predictions.values.astype(np.float64).mean(0) - evidence.targets.mean(0)
        return {"mse": float(np.square(gap).mean())}


class GenerateTask(Task):
    """Draw pictures like the blobs; any number of spatial dimensions."""

    gives: ClassVar[frozenset[str]] = frozenset({"targets"})
    condition_channels: ClassVar[int] = 0

    @classmethod
    def describe(cls, data: CachedImages) -> TaskConfig:
        channels, *spatial = data.images.shape[1:]
        return described(cls, tuple(spatial), channels)

    @property
    def shape(self) -> tuple[int, ...]:
        inputs = self.config.task.inputs
        return (inputs.out_channels, *inputs.spatial)

    def condition(self, samples: Sequence[int], seed: int, clean: Tensor) -> Condition:
        return NOTHING

    def batch(self, samples: Sequence[int], seed: int) -> Batch:
        clean = blobs(samples, self.shape)
        return Batch(target=clean, condition=self.condition(samples, seed, clean))

    def cases(self, part: str) -> Cases:
        def condition(places: Sequence[int]) -> Condition:
            return self.batch([FIRST[part] + place for place in places], seed=1).condition

        return Cases(
            key=(part,),
            purpose=f"restore/{part}",
            count=self.measure.n_report if part == "report" else self.measure.n_select,
            keep=as_array,
            condition=condition if self.condition_channels else no_condition,
        )

    def targets(self, part: str) -> NDArray[np.float32]:
        first, count = FIRST[part], self.cases(part).count
        return as_array(blobs(range(first, first + count), self.shape))

    def pictures(self, predictions: Predictions) -> NDArray[np.uint8]:
        return np.rint((predictions.values.clip(-1, 1) + 1) * 127.5).astype(np.uint8)


class RestoreTask(GenerateTask):
    """Noisy picture in, clean picture out."""

    condition_channels: ClassVar[int] = 1

    def condition(self, samples: Sequence[int], seed: int, clean: Tensor) -> Condition:
        noise = torch.from_numpy(normal(seed, "damage", samples, self.shape))
        return Condition(images=clean + NOISE * noise)


def described(task: type[GenerateTask], spatial: tuple[int, ...], channels: int = 1) -> TaskConfig:
    """The task of blobs of this shape."""
    inputs: dict[str, Any] = {"channels": channels, "out_channels": channels}
    inputs["condition_channels"] = channels * task.condition_channels
    return TaskConfig(
        kind=f"{HERE}:{task.__name__}", inputs=Inputs(spatial=spatial, **inputs), sigma_data=0.5
    )
