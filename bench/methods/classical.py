"""The classical method: an estimator without a network and without training.

An estimator is a function `(image [C, *spatial] float64, **settings) -> [C_out, *spatial]` of one
case's condition images in the task's range; its keyword arguments are its settings. One that names
OUT_CHANNELS among them is told C_out of the task; that is no setting.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from backbones.inputs import Inputs
from bench.config import Args, SampleConfig, TaskConfig, TrialConfig
from bench.doors import Family
from bench.errors import BenchError, unknown
from bench.methods.method import Method
from bench.predictions import Cases, Denoise, Predictions, conditions_of, in_batches
from bench.train.objective import Batch, Terms

Estimator = Callable[..., np.ndarray[Any, Any]]

ESTIMATORS = Family(
    kind="estimator",
    table={
        "identity": "bench.methods.estimators:identity",
        "gaussian_filter": "bench.methods.estimators:gaussian",
        "nlm": "bench.methods.denoisers:non_local_means",
        "wavelet": "bench.methods.denoisers:wavelet",
        "total_variation": "bench.methods.denoisers:total_variation",
        "block_matching": "bench.methods.block_matching:block_matching",
        "background": "bench.methods.thresholding:background",
        "otsu": "bench.methods.thresholding:otsu",
        "threshold": "bench.methods.thresholding:threshold",
    },
)
OUT_CHANNELS = "out_channels"


class Classical(Method):
    """An estimator by name; its settings are searched like a network's."""

    trains: ClassVar[bool] = False
    samples: ClassVar[bool] = False
    built_of: ClassVar[str] = "estimator"

    @classmethod
    def inputs(cls, task: TaskConfig) -> Inputs | None:
        return None

    @classmethod
    def argument_names(cls, backbone: str) -> list[str]:
        return list(_settings(ESTIMATORS.load(backbone)))

    @classmethod
    def whole_arguments(cls, backbone: str, given: Mapping[str, Any]) -> Args:
        defaults = _settings(ESTIMATORS.load(backbone))
        for key in given:
            if key not in defaults:
                raise unknown(f"setting of estimator {backbone}", key, defaults)
        return {**defaults, **given}

    @classmethod
    def passes(cls, config: TrialConfig) -> int:
        return 0

    def terms(self, batch: Batch, samples: Sequence[int], seed: int) -> Terms:
        raise AssertionError("a classical method is not trained")

    def predictor(self, nets: Sequence[nn.Module], seed: int, sample: SampleConfig) -> Estimating:
        return Estimating(self.config, sample)


class Estimating:
    """A Predictor that asks an estimator case by case."""

    denoise: Denoise | None = None
    nets: tuple[nn.Module, ...] = ()

    def __init__(self, config: TrialConfig, sample: SampleConfig) -> None:
        self.config, self.sample = config, sample
        method = config.method
        estimator = ESTIMATORS.load(method.backbone)
        told = {OUT_CHANNELS: config.task.inputs.out_channels} if _is_told(estimator) else {}
        self.estimate = partial(estimator, **method.backbone_args, **told)

    def predict(self, cases: Cases) -> Predictions:
        return self.predict_some(cases, range(cases.count))

    def predict_some(self, cases: Cases, places: range) -> Predictions:
        def answer(numbers: Sequence[int]) -> Tensor:
            images = conditions_of(cases, numbers).images
            if images is None:
                raise BenchError(
                    f"estimator {self.config.method.backbone} answers condition images, and task "
                    f"{self.config.task.kind} has none"
                )
            answers = [self._checked(self.estimate(image)) for image in images.double().numpy()]
            return torch.from_numpy(np.stack(answers)).float()

        data_range = self.config.task.data_range
        return in_batches(cases, places, self.sample.batch_size, answer, data_range, lambda: 0)

    def _checked(self, answer: Any) -> np.ndarray[Any, Any]:
        """An estimator's answer as an array; BenchError where its shape is not the task's."""
        inputs = self.config.task.answered
        array, shape = np.asarray(answer), (inputs.out_channels, *inputs.spatial)
        if array.shape != shape:
            raise BenchError(
                f"estimator {self.config.method.backbone} answers an array of shape "
                f"{array.shape}, not {shape}"
            )
        return array


def _settings(estimator: Estimator) -> dict[str, Any]:
    """Its keyword arguments with their defaults, but for what it is told.

    Raises:
        BenchError: one has no default.
    """
    settings = _arguments(estimator)
    settings.pop(OUT_CHANNELS, None)
    lacking = [name for name, p in settings.items() if p.default is inspect.Parameter.empty]
    if lacking:
        raise BenchError(f"an estimator's settings need defaults; {', '.join(lacking)} has none")
    return {name: p.default for name, p in settings.items()}


def _is_told(estimator: Estimator) -> bool:
    """Whether it asks how many channels its answer has."""
    return OUT_CHANNELS in _arguments(estimator)


def _arguments(estimator: Estimator) -> dict[str, inspect.Parameter]:
    """Its arguments behind the image."""
    return dict(list(inspect.signature(estimator).parameters.items())[1:])
