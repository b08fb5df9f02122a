"""The direct method: a backbone that maps the condition to the target, by its mean squared error.

The network is the same as a diffusion method's, without a state and at one fixed noise level.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from backbones.backbone import Backbone
from backbones.inputs import Inputs
from bench.conditions import Condition
from bench.config import SampleConfig, TaskConfig, TrialConfig
from bench.errors import BenchError
from bench.methods.method import Method, build_network
from bench.methods.tiling import tiled
from bench.predictions import Cases, Denoise, Predictions, conditions_of, in_batches
from bench.train.objective import Batch, Terms


class Direct(Method):
    """Regression from condition images, classes and numbers to the target."""

    samples: ClassVar[bool] = False

    def __init__(self, config: TrialConfig) -> None:
        super().__init__(config)
        self.net = build_network(config.method, self.inputs(config.task), self.device)

    @classmethod
    def inputs(cls, task: TaskConfig) -> Inputs:
        if not task.inputs.condition_channels:
            raise BenchError(
                f"method direct maps condition images to an answer, and task {task.kind} has "
                "none; use diffusion"
            )
        return replace(task.inputs, channels=0)

    def terms(self, batch: Batch, samples: Sequence[int], seed: int) -> Terms:
        answer = evaluate(self.net, batch.condition.to(self.device))
        error = (answer - batch.target.to(self.device)).square().flatten(1).mean(1)
        return Terms(loss=error)

    def predictor(self, nets: Sequence[nn.Module], seed: int, sample: SampleConfig) -> Regression:
        return Regression(self.config, nets, sample)


class Regression:
    """A Predictor that evaluates its networks once; of several it takes the mean."""

    denoise: Denoise | None = None

    def __init__(
        self, config: TrialConfig, nets: Sequence[nn.Module], sample: SampleConfig
    ) -> None:
        self.config, self.nets, self.sample = config, tuple(nets), sample
        self.device = torch.device(config.train.device)

    def predict(self, cases: Cases) -> Predictions:
        return self.predict_some(cases, range(cases.count))

    @torch.no_grad()
    def predict_some(self, cases: Cases, places: range) -> Predictions:
        nets = tiled(self.nets, self.sample.tile)

        def answer(numbers: Sequence[int]) -> Tensor:
            condition = conditions_of(cases, numbers).to(self.device)
            answers = [self.answered(evaluate(net, condition)) for net in nets]
            return torch.stack(answers).mean(0).cpu()

        data_range = self.config.task.data_range
        return in_batches(
            cases, places, self.sample.batch_size, answer, data_range, lambda: len(self.nets)
        )

    def answered(self, raw: Tensor) -> Tensor:
        """The answers, of what a network gives."""
        return raw


def evaluate(net: nn.Module, condition: Condition) -> Tensor:
    """The network's answer to condition images, at the middle of its noise levels."""
    x = condition.images
    assert x is not None
    low, high = cast(Backbone, net).c_noise_range
    level = torch.full((len(x),), (float(low) + float(high)) / 2, device=x.device)
    known = {} if condition.vector is None else {"vector": condition.vector}
    result: Tensor = net(x, level, condition.classes, **known)
    return result
