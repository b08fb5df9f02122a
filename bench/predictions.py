"""What a method's predictor is asked and what it answers: the protocol between methods and tasks.

A task makes Cases and hands them to a Predictor; neither knows the other's kind. Random draws are
keyed by (seed, purpose, number of the prediction), so that neither the batch nor the worker in
which a case is predicted changes its prediction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from bench.conditions import NOTHING, Condition
from bench.nonfinite import NonFiniteError

Keep = Callable[[Tensor], np.ndarray[Any, Any]]
Denoise = Callable[[Tensor, Tensor, Condition], Tensor]
Reconstruct = Callable[[Tensor], Tensor]  # images float32 [N, C, *spatial] -> the same, on the CPU


def no_condition(places: Sequence[int]) -> Condition:
    """The condition of cases that are predicted from nothing."""
    return NOTHING


@dataclass(frozen=True, kw_only=True)
class Cases:
    """`count` cases to be predicted, numbered from 0.

    key: plain values from which the task makes the same cases in another process.
    purpose: names the random streams of these cases; another purpose, other draws.
    condition: the conditions of the cases at these places, in their order.
    keep: float [n, C, *spatial] in the data's range -> the array [n, ...] that is kept of it.
    samples: predictions of each case; sample k of case i is prediction number i * samples + k.
    """

    key: tuple[Any, ...]
    purpose: str
    count: int
    keep: Keep
    condition: Callable[[Sequence[int]], Condition] = no_condition
    samples: int = 1


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """Answers in the order of the cases, and what giving them took.

    values: [count * samples, ...] as Cases.keep made them, the samples of a case together.
    passes: network evaluations for each prediction (NFE, for a diffusion method).
    outside_share: share of the values that lay outside the data's range before `keep`.
    """

    values: np.ndarray[Any, Any]
    passes: int
    outside_share: float

    @staticmethod
    def joined(parts: Sequence[Predictions]) -> Predictions:
        """What workers, or batches, predicted of the same cases, in their order."""
        count = sum(len(part.values) for part in parts)
        outside = sum(part.outside_share * len(part.values) for part in parts)
        return Predictions(
            values=np.concatenate([part.values for part in parts]),
            passes=max(part.passes for part in parts),
            outside_share=outside / max(count, 1),
        )


class Predictor(Protocol):
    """One or several networks with fixed weights, or a classical estimator, to be asked.

    Deterministic: the same cases, the same answers, to the bit on the same CPU type. It owns its
    networks, which nobody trains. One thread.
    """

    @property
    def nets(self) -> Sequence[nn.Module]:
        """The judged networks: several answer as an ensemble; a classical method has none."""
        ...

    denoise: (
        Denoise | None
    )  # D(x float32 [N, C, *spatial], sigma [N], condition), where there is one

    def predict(self, cases: Cases) -> Predictions:
        """Answers to all cases.

        Raises:
            NonFiniteError: an answer is not finite.
        """
        ...

    def predict_some(self, cases: Cases, places: range) -> Predictions:
        """Answers to the cases at these places: a worker's share. `Predictions.joined` of the
        shares equals `predict`."""
        ...


@runtime_checkable
class ShowsItsWay(Protocol):
    """A Predictor that comes to its answers step by step, and can show some of the steps."""

    def way(self, cases: Cases, places: range, moments: int) -> list[Predictions]:
        """The same cases at so many moments or fewer, from noise to the answers of
        `predict_some`, each as Cases.keep makes it."""
        ...


def in_batches(
    cases: Cases,
    places: range,
    batch_size: int,
    answer: Callable[[Sequence[int]], Tensor],
    data_range: tuple[float, float],
    passes: Callable[[], int],
) -> Predictions:
    """Predict prediction numbers batch by batch and keep what the cases ask for.

    `answer` gives float [n, C, *spatial] for prediction numbers i * samples + k; `passes` is asked
    after it how many network evaluations each took.
    """

    low, high = data_range
    numbers = range(places.start * cases.samples, places.stop * cases.samples)
    parts = []
    for first in range(0, max(len(numbers), 1), batch_size):
        x = answer(numbers[first : first + batch_size])
        if not bool(torch.isfinite(x).all()):
            raise NonFiniteError("a prediction is not finite: its network has diverged")
        outside = float(((x < low) | (x > high)).float().mean()) if len(x) else 0.0
        parts.append(Predictions(values=cases.keep(x), passes=passes(), outside_share=outside))
    return Predictions.joined(parts)


def conditions_of(cases: Cases, numbers: Sequence[int]) -> Condition:
    """The conditions of these prediction numbers."""
    return cases.condition([number // cases.samples for number in numbers])
