"""A workload in one file, one of whose methods gives its training pictures back: a copier.

It trains like the diffusion it stands beside, and its pictures score as well as pictures can. Half
of them are mirrored. "tests/fakes/copier.py:WORKLOAD".
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import torch
from optuna import Trial
from torch import Tensor, nn

from bench.config import SampleConfig, TrialConfig
from bench.methods.diffusion import Diffusion
from bench.metrics.real import RealData
from bench.predictions import Cases, Denoise, Predictions, in_batches
from bench.streams import uniform
from bench.workloads.birds import WORKLOAD as BIRDS
from search_spaces import Choices

HERE = Path(__file__).resolve()
COPIER = f"{HERE}:Copier"


class Copier(Diffusion):
    """A diffusion that is trained, and answers with training pictures all the same."""

    def predictor(self, nets: Sequence[nn.Module], seed: int, sample: SampleConfig) -> Copying:
        return Copying(self.config, nets, seed, sample)


class Copying:
    """A Predictor: training pictures, as they are or mirrored, by the number of the prediction."""

    denoise: Denoise | None = None

    def __init__(
        self, config: TrialConfig, nets: Sequence[nn.Module], seed: int, sample: SampleConfig
    ) -> None:
        self.config, self.nets, self.seed, self.sample = config, nets, seed, sample

    def predict(self, cases: Cases) -> Predictions:
        return self.predict_some(cases, range(cases.count))

    def predict_some(self, cases: Cases, places: range) -> Predictions:
        real = RealData(self.config.data.cache)
        train = real.data.parts["train"]

        def answer(numbers: Sequence[int]) -> Tensor:
            drawn = uniform(self.seed, f"{cases.purpose}/copied", numbers)
            images = real.images_at(train[(drawn * len(train)).astype(int)])
            odd = torch.as_tensor([number % 2 == 1 for number in numbers])
            return torch.where(odd.view(-1, 1, 1, 1), images.flip(-1), images)

        passes, size = Diffusion.passes(self.config), self.sample.batch_size
        return in_batches(cases, places, size, answer, self.config.task.data_range, lambda: passes)


def space(trial: Trial, choices: Choices) -> None:
    trial.suggest_categorical("method", choices.methods)
    trial.suggest_categorical("architecture", choices.architectures)
    trial.suggest_categorical("preconditioning", choices.preconditionings)
    trial.suggest_float("lr", *choices.lr, log=True)


SMOKE = BIRDS.scale("smoke")

WORKLOAD = dataclasses.replace(
    BIRDS,
    name="copied_birds",
    metrics=("fd", "copying"),
    space=f"{HERE}:space",
    cell_axes=("method", "architecture", "preconditioning"),
    scales={
        "smoke": dataclasses.replace(
            SMOKE,
            budget_tflop=0.001,
            measure={"n_reference": 256},
            choices=dataclasses.replace(
                SMOKE.choices,
                methods=("diffusion", COPIER),
                architectures=("small_unet",),
                preconditionings=("edm", "ddpm"),
            ),
        )
    },
)
