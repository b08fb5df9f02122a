"""A regressor of one number from pictures: what generated pictures are worth as training data.

A ResNet-18 of timm, from nothing, Adam with a cosine decay, mean squared error of the number in
standard deviations of the training pictures. A subject's value is the mean over its pictures;
errors are of subjects, with a bootstrap interval over them (SciPy's, percentile).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats

from bench.data.value_range import BYTE_RANGE, as_float
from bench.errors import BenchError
from bench.streams import derive_seed, permutation

LR, BATCH, DECAY = 1e-3, 32, 1e-4
JUDGED_AT_ONCE = 256
RESAMPLES = 2000


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Pictures and the number of each: values uint8 [n, C, H, W], numbers float64 [n], subjects
    int [n]."""

    values: NDArray[np.uint8]
    numbers: NDArray[np.float64]
    subjects: NDArray[np.integer[Any]]

    def __post_init__(self) -> None:
        if not len(self.values) == len(self.numbers) == len(self.subjects):
            raise BenchError("pictures, numbers and subjects must be as many")

    def some(self, rows: NDArray[Any]) -> Measured:
        return Measured(
            values=self.values[rows], numbers=self.numbers[rows], subjects=self.subjects[rows]
        )

    def joined(self, other: Measured) -> Measured:
        """Both; subjects of the other stay apart from these."""
        shift = int(self.subjects.max(initial=0)) + 1
        return Measured(
            values=np.concatenate([self.values, other.values]),
            numbers=np.concatenate([self.numbers, other.numbers]),
            subjects=np.concatenate([self.subjects, other.subjects + shift]),
        )


@dataclass(frozen=True, kw_only=True)
class SubjectErrors:
    """Of one regressor on held-out subjects: numbers float64 [subjects], and what it says."""

    numbers: NDArray[np.float64]
    predicted: NDArray[np.float64]

    def error(self, low: float = -np.inf, high: float = np.inf) -> tuple[float, float, float, int]:
        """Mean absolute error of subjects with a number in [low, high), its 95 % interval, and how
        many they are; NaN where there is none, or no interval from fewer than three."""
        there = (self.numbers >= low) & (self.numbers < high)
        errors = np.abs(self.predicted - self.numbers)[there]
        if not len(errors):
            return np.nan, np.nan, np.nan, 0
        mean = float(errors.mean())
        if len(errors) < 3:
            return mean, np.nan, np.nan, len(errors)
        found = stats.bootstrap(
            (errors,),
            np.mean,
            n_resamples=RESAMPLES,
            method="percentile",
            rng=np.random.default_rng(0),
        ).confidence_interval
        return mean, float(found.low), float(found.high), len(errors)


def trained_on(
    pictures: Measured, tested: Measured, *, steps: int, seed: int, device: str = "cpu"
) -> SubjectErrors:
    """Train on some pictures for so many batches, judge by the subjects of others.

    Raises:
        BenchError: no pictures, of another shape, or a loss that is not finite.
    """
    import timm

    if not len(pictures.values) or pictures.values.shape[1:] != tested.values.shape[1:]:
        raise BenchError(
            f"a regressor needs pictures of one shape, got {pictures.values.shape} and "
            f"{tested.values.shape}"
        )
    mean, sd = float(pictures.numbers.mean()), max(float(pictures.numbers.std()), 1e-6)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "regressor/init"))
        net = timm.create_model(
            "resnet18", pretrained=False, in_chans=pictures.values.shape[1], num_classes=1
        ).to(device)
    optimizer = torch.optim.Adam(net.parameters(), lr=LR, weight_decay=DECAY)
    # at a constant rate the last steps leave its batch norms far from what they saw on average
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    net.train()
    count, batch = len(pictures.values), min(BATCH, len(pictures.values))
    for step in range(steps):
        places = [step * batch + k for k in range(batch)]
        order = [_order(seed, p // count, count)[p % count] for p in places]
        x = torch.from_numpy(as_float(pictures.values[order], BYTE_RANGE)).to(device)
        wanted = torch.from_numpy((pictures.numbers[order] - mean) / sd).float().to(device)
        loss = torch.nn.functional.mse_loss(net(x)[:, 0], wanted)
        if not torch.isfinite(loss):
            raise BenchError(f"the regressor's loss is not finite after {step} steps")
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        schedule.step()
    net.eval()
    said = []
    with torch.no_grad():
        for first in range(0, len(tested.values), JUDGED_AT_ONCE):
            block = tested.values[first : first + JUDGED_AT_ONCE]
            x = torch.from_numpy(as_float(block, BYTE_RANGE)).to(device)
            said.append(net(x)[:, 0].double().cpu().numpy() * sd + mean)
    return _by_subject(tested, np.concatenate(said))


@lru_cache(maxsize=2)
def _order(seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    return permutation(seed, "regressor", epoch, count)


def _by_subject(tested: Measured, said: NDArray[np.float64]) -> SubjectErrors:
    persons, place = np.unique(tested.subjects, return_inverse=True)
    counts = np.bincount(place, minlength=len(persons))
    means = [np.bincount(place, weights=v) / counts for v in (tested.numbers, said)]
    return SubjectErrors(numbers=means[0], predicted=means[1])
