"""The restoration task: a noisy x-ray in, the clean one out; any data, 2D or 3D.

The noisy picture is the condition, joined to the network's input. Its noise is drawn anew for each
training sample; that of a held-out picture is the picture's own, the same for every method and
seed. A diffusion method answers with a sample of the posterior, whose squared error is up to twice
that of the posterior's mean (3 dB): `samples` averages so many answers of a case, which is the
fair comparison with a regression, at so many times the cost. What is averaged is said in the
protocol.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backbones.inputs import Inputs
from bench.conditions import Condition
from bench.config import TaskConfig, TrialConfig, like
from bench.data.cache import CachedImages
from bench.errors import BenchError, unknown
from bench.files import ResultFile
from bench.metrics.metric import Evidence
from bench.metrics.psnr_metric import psnr
from bench.pictures import save_grid
from bench.predictions import Cases, Predictions, Predictor
from bench.streams import permutation
from bench.tasks.case_report import case_files
from bench.tasks.picture_augment import augmented_pictures
from bench.tasks.task import Clock, Evaluation, Task
from bench.tasks.xray_noise import XrayNoise
from bench.train.objective import Batch
from leaderboards.measures import Measure

SHOWN = 64  # pictures in a grid
NOISE = tuple(field.name for field in dataclasses.fields(XrayNoise))
FLOORED = Measure(
    key="floored_pixels",
    title="floored pixels",
    drop=18,
    meaning="share of the noisy pictures' pixels that counted less than half a photon; set to it",
)
PSNR = "psnr"  # the metric whose mean the gain is taken from
GAIN = Measure(
    key="psnr_gain",
    title="gain dB",
    direction="higher",
    scale="difference",
    unit="dB",
    drop=3,
    meaning="mean PSNR of the answers minus that of the noisy pictures themselves",
    reference=0.0,
    reference_text="the noisy picture left as it is",
    reference_verdict="nothing here is better than doing nothing",
)


class RestoreTask(Task):
    """Restore noisy images like those of the data set."""

    gives: ClassVar[frozenset[str]] = frozenset({"targets"})
    parameters: ClassVar[Mapping[str, Any]] = {
        **dataclasses.asdict(XrayNoise()),
        "augment": 0.0,  # probability of each change made to a training picture
        "samples": 1,  # answers of a diffusion method that are averaged for a case
    }
    same_for_all: ClassVar[frozenset[str]] = frozenset({*NOISE, "samples"})

    @classmethod
    def describe(cls, data: CachedImages) -> TaskConfig:
        channels, *spatial = data.images.shape[1:]
        inputs = Inputs(
            spatial=tuple(spatial),
            channels=channels,
            out_channels=channels,
            condition_channels=channels,
        )
        return TaskConfig(
            kind="restore",
            inputs=inputs,
            sigma_data=float(data.sigma_data),
            args=dict(cls.parameters),
        )

    @classmethod
    def configure(cls, task: TaskConfig, given: Mapping[str, Any]) -> TaskConfig:
        for key in given:
            if key not in cls.parameters:
                raise unknown(f"parameter of task {task.kind}", key, cls.parameters)
        args = {**cls.parameters, **task.args, **given}
        args = {key: like(cls.parameters[key], value, key) for key, value in args.items()}
        XrayNoise(**{name: args[name] for name in NOISE})
        if not 0 <= args["augment"] <= 1:
            raise BenchError(f"augment is a probability, 0 to 1, got {args['augment']:g}")
        if args["samples"] < 1:
            raise BenchError(f"samples must be at least 1, got {args['samples']}")
        return dataclasses.replace(task, args=args)

    @classmethod
    def noise_of(cls, task: TaskConfig) -> XrayNoise:
        args = {**cls.parameters, **task.args}
        return XrayNoise(**{name: args[name] for name in NOISE})

    @property
    def noise(self) -> XrayNoise:
        return self.noise_of(self.config.task)

    @property
    def measures(self) -> tuple[Measure, ...]:
        gain = (GAIN,) if PSNR in self.measure.metrics else ()
        return (*super().measures, *gain, FLOORED)

    def protocol(self) -> dict[str, Any]:
        """Another noise, or another number of answers averaged, is another score."""
        judged = {name: self._settings[name] for name in (*NOISE, "samples")}
        count = {"n_samples": len(self.rows("report"))}  # as many as there are
        return {**super().protocol(), **count, "noise": "x-ray", **judged}

    def notes(self) -> tuple[str, ...]:
        channels = self.config.task.inputs.out_channels
        if channels == 1:
            return super().notes()
        of_photos = (
            "the x-ray noise is a model of radiographs, which have one channel; these pictures "
            f"have {channels}, each made noisy by itself"
        )
        return (*super().notes(), of_photos)

    def batch(self, samples: Sequence[int], seed: int) -> Batch:
        train = self.real.data.parts["train"]
        n = len(train)
        rows = train[[_permutation(seed, k // n, n)[k % n] for k in samples]]
        clean = self.real.images_at(rows).numpy()
        clean = augmented_pictures(clean, self._settings["augment"], samples, seed)
        noisy = self.noise.training(clean, samples, seed)
        return Batch(
            target=torch.from_numpy(clean), condition=Condition(images=torch.from_numpy(noisy))
        )

    def cases(self, part: str) -> Cases:
        rows = self.rows(part)

        def condition(places: Sequence[int]) -> Condition:
            return Condition(images=torch.from_numpy(self._noisy(part, rows[np.asarray(places)])))

        return Cases(
            key=(part,),
            purpose=f"restore/{part}",
            count=len(rows),
            keep=to_values,
            condition=condition,
            samples=self._samples,
        )

    def targets(self, part: str) -> NDArray[np.float32]:
        return self.real.images_at(self.rows(part)).numpy()

    def subjects(self, part: str) -> NDArray[np.int64]:
        return self.real.data.subject[self.rows(part)].astype(np.int64)

    def noisy(self, part: str) -> NDArray[np.float32]:
        """What the cases of a part are made from, in the form of their targets."""
        return self._noisy(part, self.rows(part))

    def evidence(self, predictor: Predictor, part: str, predictions: Predictions) -> Evidence:
        return super().evidence(predictor, part, self._averaged(predictions))

    def evaluate(self, predictor: Predictor, part: str, clock: Clock) -> Evaluation:
        evaluation = super().evaluate(predictor, part, clock)
        noisy = self.noisy(part)
        added = {FLOORED.key: self.noise.floored_share(noisy)}
        if PSNR in self.measure.metrics:
            left_alone = float(psnr(noisy.clip(-1, 1), self.targets(part)).mean())
            added[GAIN.key] = evaluation.metrics[PSNR] - left_alone
        return dataclasses.replace(evaluation, metrics={**evaluation.metrics, **added})

    def pictures(self, predictions: Predictions) -> NDArray[np.uint8]:
        return _as_pictures(self._averaged(predictions).values[:SHOWN])

    def files(self, predictions: Predictions) -> tuple[ResultFile, ...]:
        """The table by picture, the best, median and worst of them, the radial spectrum."""
        data, rows = self.real.data, self.rows("report")
        return case_files(
            subjects=[data.subject_id(row) for row in rows.tolist()],
            noisy=self.noisy("report"),
            answers=self._averaged(predictions).values,
            clean=self.targets("report"),
            real=self.shows_real,
        )

    def save_reference(self, path: Path) -> None:
        save_grid(self.real.pictures_at(self.rows("report")[:SHOWN]), path)

    def rows(self, part: str) -> NDArray[np.int64]:
        """The rows in the data of the cases of a part."""
        count = self.measure.n_report if part == "report" else self.measure.n_select
        return self.real.rows(part, count)

    @property
    def _settings(self) -> dict[str, Any]:
        return {**self.parameters, **self.config.task.args}

    @classmethod
    def samples_of(cls, config: TrialConfig) -> int:
        """Only a method that draws its answers gives another one when it is asked again."""
        settings = {**cls.parameters, **config.task.args}
        return int(settings["samples"]) if config.method.preconditioning else 1

    @property
    def _samples(self) -> int:
        return self.samples_of(self.config)

    def _noisy(self, part: str, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        places = np.searchsorted(self.real.data.parts[part], rows)
        return self.noise.held_out(self.real.images_at(rows).numpy(), part, places.tolist())

    def _averaged(self, predictions: Predictions) -> Predictions:
        """One answer a case: the mean of its samples."""
        if self._samples == 1:
            return predictions
        values = predictions.values
        by_case = values.reshape(-1, self._samples, *values.shape[1:])
        mean = by_case.mean(1, dtype=np.float64).astype(np.float32)
        return dataclasses.replace(predictions, values=mean)


def to_values(x: Tensor) -> NDArray[np.float32]:
    """Float [n, C, *spatial], as it would be stored: clipped to [-1, 1]."""
    return x.float().clamp(-1, 1).cpu().numpy()


def _as_pictures(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.rint((values.clip(-1, 1) + 1) * 127.5).astype(np.uint8)


@lru_cache(maxsize=4)
def _permutation(seed: int, epoch: int, n: int) -> NDArray[np.int64]:
    return permutation(seed, "order", epoch, n)
