"""A workload in one file, as a user would bring it: restore noisy volumes, judged by PSNR in dB.

3D, conditional, higher is better: "tests/fakes/volumes.py:WORKLOAD". Task, metric, simulated data,
search space and scales are all here; the network is tests/fakes/volume_net.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from optuna import Trial
from torch import Tensor

from backbones.inputs import Inputs
from backbones.sizes import Size
from bench.conditions import Condition
from bench.config import TaskConfig, digest
from bench.data.cache import CachedImages
from bench.metrics.metric import Estimates, Evidence, Metric
from bench.pictures import save_grid
from bench.predictions import Cases, Predictions
from bench.streams import normal, stream
from bench.tasks.task import Task
from bench.train.objective import Batch
from bench.workloads.workload import Scale, Workload
from leaderboards.measures import Measure
from search_spaces import Choices

HERE = Path(__file__).resolve()
NET = f"{HERE.parent / 'volume_net.py'}:build"
SIDES = (8, 12, 12)
NOISE = 0.4  # standard deviation of the damage, in the range [-1, 1]


class PSNR(Metric):
    """Peak signal-to-noise ratio over the range [-1, 1], mean over cases, in dB."""

    needs: ClassVar[frozenset[str]] = frozenset({"targets"})

    @property
    def measures(self) -> tuple[Measure, ...]:
        return (
            Measure(
                key="psnr",
                title="PSNR",
                direction="higher",
                scale="difference",
                unit="dB",
                live=True,
                drop=5,
            ),
        )

    def estimate(self, evidence: Evidence) -> Estimates:
        assert evidence.targets is not None
        gap = evidence.predictions.values - evidence.targets
        error = np.square(gap, dtype=np.float64).reshape(len(gap), -1).mean(1)
        decibels = 10 * np.log10(4 / error)
        se = float(decibels.std(ddof=1) / np.sqrt(len(decibels)))
        return {"psnr": float(decibels.mean()), "psnr_se": se}


class RestoreTask(Task):
    """Noisy volume in, clean volume out; the noise of a volume is the same for every method."""

    gives: ClassVar[frozenset[str]] = frozenset({"targets"})

    @classmethod
    def describe(cls, data: CachedImages) -> TaskConfig:
        channels, *spatial = data.images.shape[1:]
        inputs = Inputs(
            spatial=tuple(spatial),
            channels=channels,
            out_channels=channels,
            condition_channels=channels,
        )
        return TaskConfig(kind="restore", inputs=inputs, sigma_data=float(data.sigma_data))

    def batch(self, samples: Sequence[int], seed: int) -> Batch:
        train = self.real.data.parts["train"]
        rows = train[np.asarray(samples) % len(train)]
        clean = self.real.images_at(rows)
        noise = torch.from_numpy(normal(seed, "damage", samples, tuple(clean.shape[1:])))
        return Batch(target=clean, condition=Condition(images=clean + NOISE * noise))

    def cases(self, part: str) -> Cases:
        return Cases(
            key=(part,),
            purpose=f"restore/{part}",
            count=len(self._rows(part)),
            keep=as_array,
            condition=lambda places: self._damaged(part, places),
        )

    def targets(self, part: str) -> NDArray[np.float32]:
        return self.real.images_at(self._rows(part)).numpy()

    def pictures(self, predictions: Predictions) -> NDArray[np.uint8]:
        return np.rint((predictions.values[:8].clip(-1, 1) + 1) * 127.5).astype(np.uint8)

    def save_reference(self, path: Path) -> None:
        save_grid(self.real.pictures_at(self._rows("report")[:8]), path)

    def _rows(self, part: str) -> NDArray[np.int64]:
        count = self.measure.n_report if part == "report" else self.measure.n_select
        return self.real.data.parts[part][:count]

    def _damaged(self, part: str, places: Sequence[int]) -> Condition:
        rows = self._rows(part)[np.asarray(places, np.int64)]
        clean = self.real.images_at(rows)
        noise = torch.from_numpy(normal(7, "held-out damage", rows, tuple(clean.shape[1:])))
        return Condition(images=clean + NOISE * noise)


def as_array(x: Tensor) -> NDArray[np.float32]:
    return x.float().cpu().numpy()


@dataclass(frozen=True, kw_only=True)
class Blobs:
    """Smooth blobs at places of their own, in an .npz of volumes with official parts."""

    volumes: int = 48
    every: int = 1

    def digest(self) -> str:
        return digest([asdict(self), HERE.read_text()])

    def describe(self) -> dict[str, Any]:
        return {"name": "simulated-blobs", **asdict(self)}

    def write(self, root: Path) -> None:
        axes = np.meshgrid(*(np.linspace(-1, 1, side) for side in SIDES), indexing="ij")
        shares = {"train": 0.6, "val": 0.2, "test": 0.2}
        arrays, number = {}, 0
        for part, share in shares.items():
            drawn = []
            for _ in range(round(share * self.volumes)):
                draw = stream(0, "blob", number)
                places, width = draw.uniform(-0.6, 0.6, 3), draw.uniform(0.2, 0.5)
                square = sum((a - p) ** 2 for a, p in zip(axes, places, strict=True))
                drawn.append(np.rint(255 * np.exp(-square / width**2)).astype(np.uint8))
                number += 1
            arrays[f"{part}_volumes"] = np.stack(drawn)
        root.mkdir(exist_ok=True)
        np.savez_compressed(root / "blobs.npz", **arrays)


def space(trial: Trial, choices: Choices) -> None:
    method = trial.suggest_categorical("method", choices.methods)
    if method == "classical":
        name = trial.suggest_categorical("estimator", choices.estimators)
        if name == "gaussian_filter":
            trial.suggest_float("sigma", 0.3, 3.0)
        return
    trial.suggest_categorical("architecture", choices.architectures)
    if method == "diffusion":
        trial.suggest_categorical("preconditioning", choices.preconditionings)
    trial.suggest_float("lr", *choices.lr, log=True)


SMOKE = Scale(
    name="smoke",
    data={"size": SIDES},
    simulated={},
    budget_tflop=0.002,
    rungs=(0.25, 0.5, 1.0),
    keep=(0.5, 0.5),
    reports=4,
    warmup_fraction=0.05,
    ema_short_fraction=0.05,
    n_select=9,
    n_report=10,
    sample={"steps": 4},
    choices=Choices(
        architectures=(NET,),
        estimators=("identity", "gaussian_filter"),
        preconditionings=("edm",),
        optimizers=("adam",),
        schedules=("constant",),
        batch_sizes=(4,),
        lr=(1e-4, 1e-1),
        dropout=(0.0, 0.0),
        widths=("default",),
        methods=("classical", "direct", "diffusion"),
    ),
    defaults={"preconditioning": "edm", "batch_size": 4, "lr": 1e-2, "optimizer": "adam"},
    sizes={NET: Size(args={"width": 4}, widths={"default": {}}, lr={"edm": 1e-2})},
    notes=("a workload of the tests",),
)


def _simulation(**size: Any) -> Blobs:
    return Blobs(**size)


WORKLOAD = Workload(
    name="volumes",
    title="restoring noisy volumes",
    source="this file",
    reader="npz",
    task=f"{HERE}:RestoreTask",
    metrics=(f"{HERE}:PSNR", "clipping"),
    space=f"{HERE}:space",
    scales={"smoke": SMOKE},
    simulation=_simulation,
    cell_axes=("method", "architecture", "estimator"),
)
