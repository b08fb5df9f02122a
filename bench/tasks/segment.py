"""The segmentation task: images in, a label map out; 2D or 3D, in patches or whole.

A network reads the images (modalities), where the patch lies (coordinates of the whole volume) and,
of a diffusion method, the noised label map; it is trained on patches and asked for whole volumes.
Label maps are images in [-1, 1]: one channel where the classes are merged into one foreground, else
one for each class, the background first. Predictions are kept as shares, uint8 [K, *spatial]; of
several `samples` of a case their mean is judged, and their spread is its uncertainty.

The arms of the seed document: `patch` voxels along each side (0: the whole volume), and
`resolution` half, which trains and answers on blocks of two voxels a side (see bench.tasks.halved),
to be judged at full resolution.
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

from backbones.coordinates import coordinates
from backbones.inputs import Inputs
from bench.conditions import Condition
from bench.config import TaskConfig, TrialConfig, like
from bench.data.cache import CachedImages, load_cache
from bench.data.readers.brats_layout import MASK_NAMES
from bench.data.value_range import as_float
from bench.data.volume_patches import cut_patch
from bench.errors import BenchError, unknown
from bench.files import ResultFile
from bench.metrics.metric import Evidence
from bench.metrics.segmentation import FULL, labels_of
from bench.metrics.surface_distance import UNSPACED
from bench.pictures import save_grid
from bench.predictions import Cases, Predictions, Predictor
from bench.streams import permutation
from bench.tasks.halved import block_labels, block_means
from bench.tasks.patch_placement import patch_start
from bench.tasks.segmented_slices import overlay, slice_pages
from bench.tasks.task import Task
from bench.train.objective import Batch
from leaderboards.references import Reference

STRIDES = {"full": 1, "half": 2}
REGIONS = ("merged", "classes")
SHOWN = 8  # cases in a grid
CLASSICAL = "classical"  # the method without a network
LEAST_SIDE = 4  # of a patch, as a network sees it
Shares = NDArray[np.uint8]  # [n, K, *spatial]
NOT_OURS = "of its own test cases of BraTS2020; not ranked with these"
PUBLISHED = tuple(  # PatchDDM (Bieder et al. 2023); of how many samples, it does not say
    Reference(
        key=f"PatchDDM, {samples}",
        title=f"PatchDDM as published, {samples}",
        count=None,
        values=values,
        notes=(NOT_OURS,),
    )
    for samples, values in (
        ("one sample", {"eval/dice": 0.888, "eval/hd95": 9.04}),
        ("an ensemble", {"eval/dice": 0.899}),
    )
)


class SegmentTask(Task):
    """Find the labelled regions of images like those of the data set."""

    gives: ClassVar[frozenset[str]] = frozenset({"targets"})
    parameters: ClassVar[Mapping[str, Any]] = {
        "patch": 0,  # voxels of the volume along each side; 0: all of it
        "resolution": "full",
        "coordinates": True,  # given to the network as channels
        "regions": "classes",  # or all of them merged into one foreground
        "samples": 1,  # answers of a diffusion method that are averaged for a case
    }
    same_for_all: ClassVar[frozenset[str]] = frozenset({"regions", "samples"})

    @classmethod
    def describe(cls, data: CachedImages) -> TaskConfig:
        """Of BraTS the classes are merged, as the paper merges them."""
        if data.masks is None:
            raise BenchError(
                "task segment needs label maps, and these data have none: give a folder of labels "
                "beside the images (labels/ beside images/), or a layout that has them"
            )
        merged = data.mask_names == MASK_NAMES
        args = {**cls.parameters, "regions": "merged" if merged else "classes"}
        return cls._described(data, args)

    @classmethod
    def configure(cls, task: TaskConfig, given: Mapping[str, Any]) -> TaskConfig:
        for key in given:
            if key not in cls.parameters:
                raise unknown(f"parameter of task {task.kind}", key, cls.parameters)
        args = {**cls.parameters, **task.args, **given}
        args = {key: like(cls.parameters[key], args[key], key) for key in cls.parameters} | {
            key: task.args[key] for key in ("classes", "whole", "modalities", "foreground")
        }
        if args["resolution"] not in STRIDES:
            raise unknown("resolution", args["resolution"], STRIDES)
        if args["regions"] not in REGIONS:
            raise unknown("regions", args["regions"], REGIONS)
        if args["samples"] < 1:
            raise BenchError(f"samples must be at least 1, got {args['samples']}")
        return _configured(task, args)

    @classmethod
    def _described(cls, data: CachedImages, args: Mapping[str, Any]) -> TaskConfig:
        whole = tuple(data.images.shape[2:])
        foreground = _voxel_shares(str(data.path))
        known = {
            "classes": len(foreground) - 1,
            "whole": list(whole),
            "modalities": data.images.shape[1],
            "foreground": [float(share) for share in foreground],
        }
        blank = TaskConfig(kind="segment", inputs=Inputs(spatial=whole, channels=1, out_channels=1))
        return _configured(blank, {**args, **known})

    @classmethod
    def metric_settings(cls, task: TaskConfig) -> Mapping[str, Any]:
        """Each class has columns of its own."""
        classes = task.inputs.out_channels - 1
        return {"foreground_classes": classes} if classes > 1 else {}

    @classmethod
    def samples_of(cls, config: TrialConfig) -> int:
        """Only a method that draws its answers gives another one when it is asked again."""
        settings = {**cls.parameters, **config.task.args}
        return int(settings["samples"]) if config.method.preconditioning else 1

    def batch(self, samples: Sequence[int], seed: int) -> Batch:
        train, inputs = self.real.data.parts["train"], self.config.task.inputs
        n, whole = len(train), self._sides
        targets, images = [], []
        for sample in samples:
            row = int(train[_order(seed, sample // n, n)[sample % n]])
            image, labels = self._cut(row, patch_start(whole, inputs.spatial, sample, seed))
            images.append(image)
            targets.append(self._one_hot(labels).astype(np.float32) * 2 - 1)
        return Batch(
            target=torch.from_numpy(np.stack(targets)),
            condition=Condition(images=torch.stack(images)),
        )

    def cases(self, part: str) -> Cases:
        rows = self.rows(part)

        def condition(places: Sequence[int]) -> Condition:
            chosen = [int(row) for row in rows[np.asarray(places)]]
            if self._is_classical:  # an estimator looks at images alone
                images = [torch.from_numpy(self._image(row)) for row in chosen]
            else:
                images = [self._cut(row)[0] for row in chosen]
            return Condition(images=torch.stack(images))

        return Cases(
            key=(part,),
            purpose=f"segment/{part}",
            count=len(rows),
            keep=self._shares,
            condition=condition,
            samples=self.samples_of(self.config),
        )

    def targets(self, part: str) -> Shares:
        """The true label maps as shares: 0 or 255."""
        return np.stack([self._one_hot(self._labels(int(row))) for row in self.rows(part)]) * FULL

    def subjects(self, part: str) -> NDArray[np.int64]:
        return self.real.data.subject[self.rows(part)].astype(np.int64)

    def evidence(self, predictor: Predictor, part: str, predictions: Predictions) -> Evidence:
        """Metrics compare label maps; the spacing is that of the voxels that are judged."""
        evidence = super().evidence(predictor, part, self.averaged(predictions))
        spacing = self.real.data.spacing
        return dataclasses.replace(
            evidence,
            targets=self.truth(part),
            spacing=None if spacing is None else spacing[self.rows(part)],
        )

    def truth(self, part: str) -> NDArray[np.uint8]:
        """The true label maps [n, *spatial], as they are judged."""
        return np.stack([self._labels(int(row)) for row in self.rows(part)])

    def averaged(self, predictions: Predictions) -> Predictions:
        """One answer a case: the mean of its samples."""
        samples = self.samples_of(self.config)
        if samples == 1:
            return predictions
        values = predictions.values
        by_case = values.reshape(-1, samples, *values.shape[1:])
        mean = np.rint(by_case.mean(1, dtype=np.float32)).astype(np.uint8)
        return dataclasses.replace(predictions, values=mean)

    def pictures(self, predictions: Predictions) -> NDArray[np.uint8]:
        """uint8 [n, 3, H, W]: the first cases, with what was found in colour."""
        labels = labels_of(self.averaged(predictions).values[:SHOWN])
        rows = self.rows("report")[: len(labels)]
        return np.stack(
            [overlay(self._image(int(r)), m) for r, m in zip(rows, labels, strict=True)]
        )

    def save_reference(self, path: Path) -> None:
        """The same cases with their truth in colour."""
        rows = self.rows("report")[:SHOWN]
        images = [overlay(self._image(int(row)), self._labels(int(row))) for row in rows]
        save_grid(np.stack(images), path)

    def files(self, predictions: Predictions) -> tuple[ResultFile, ...]:
        """The best, the median and the worst case in three planes, with the uncertainty."""
        rows = self.rows("report")
        return slice_pages(
            images=[self._image(int(row)) for row in rows],
            truth=self.truth("report"),
            shares=self.averaged(predictions).values,
            samples=predictions.values.reshape(len(rows), -1, *predictions.values.shape[1:]),
            real=self.shows_real,
        )

    def references(self) -> tuple[Reference, ...]:
        """The paper's own figures beside data of its layout: of other cases, so never ranked."""
        is_alike = self.real.data.mask_names == MASK_NAMES and self._settings["regions"] == "merged"
        return PUBLISHED if is_alike else ()

    def protocol(self) -> dict[str, Any]:
        """Other regions, or another number of answers averaged, are another score."""
        judged = {name: self._settings[name] for name in ("regions", "samples")}
        return {**super().protocol(), "spatial": self._settings["whole"], **judged}

    def notes(self) -> tuple[str, ...]:
        data = self.real.data
        names = ", ".join(data.mask_names) or f"labels 1 to {self._settings['classes']}"
        how = (
            f"all classes are one foreground ({names}); --set regions=classes tells them apart"
            if self._settings["regions"] == "merged"
            else f"classes: {names}"
        )
        spaced = () if data.spacing is not None else (UNSPACED,)
        return (*super().notes(), how, *spaced)

    def rows(self, part: str) -> NDArray[np.int64]:
        """The rows in the data of the cases of a part."""
        count = self.measure.n_report if part == "report" else self.measure.n_select
        return self.real.rows(part, count)

    @property
    def _settings(self) -> dict[str, Any]:
        return {**self.parameters, **self.config.task.args}

    @property
    def _is_classical(self) -> bool:
        return self.config.method.kind == CLASSICAL

    @property
    def _stride(self) -> int:
        return STRIDES[self._settings["resolution"]]

    @property
    def _sides(self) -> tuple[int, ...]:
        """Of what networks are asked for."""
        return self.config.task.answered.spatial

    def _cut(
        self, row: int, start: Sequence[int] | None = None
    ) -> tuple[Tensor, NDArray[np.uint8]]:
        """What a network reads of a patch, or of the whole volume, and its label map.

        Means of blocks where the resolution is half; only the patch's bytes are read.

        Returns float32 [modalities (+ dims), *size] in [-1, 1] and uint8 [*size].
        """
        data, step = self.real.data, self._stride
        size = self._sides if start is None else self.config.task.inputs.spatial
        start = (0,) * len(size) if start is None else start
        patch = cut_patch(data, row, [a * step for a in start], [n * step for n in size])
        assert patch.masks is not None
        values = np.asarray(as_float(patch.image, data.value_range), np.float32)
        labels = self._merged(patch.masks[0])
        if step > 1:
            values, labels = block_means(values, step), block_labels(labels, step)
        image = torch.from_numpy(values)
        if self._settings["coordinates"]:
            image = torch.cat([image, coordinates(self._sides, start, size)])
        return image, labels

    def _labels(self, row: int) -> NDArray[np.uint8]:
        """A whole label map at full resolution, as it is judged."""
        return self._merged(self._masks[row, 0])

    def _merged(self, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        one = self._settings["regions"] == "merged"
        return (labels > 0).astype(np.uint8) if one else np.asarray(labels)

    def _one_hot(self, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """[*spatial] -> 0 or 1 [K, *spatial]."""
        channels = self.config.task.inputs.out_channels
        if channels == 1:
            return (labels > 0).astype(np.uint8)[None]
        return np.stack([labels == k for k in range(channels)]).astype(np.uint8)

    def _shares(self, answers: Tensor) -> Shares:
        """Float [n, K, *spatial] in [-1, 1] -> shares at full resolution."""
        shares = ((answers.float().clamp(-1, 1) + 1) * (FULL / 2)).round().to(torch.uint8)
        values = shares.cpu().numpy()
        for axis in range(2, values.ndim):
            values = values.repeat(self._stride, axis=axis)
        return values

    def _image(self, row: int) -> NDArray[np.float32]:
        data = self.real.data
        return np.asarray(as_float(data.images[row], data.value_range))

    @property
    def _masks(self) -> np.memmap[Any, np.dtype[np.uint8]]:
        masks = self.real.data.masks
        assert masks is not None
        return masks


def _configured(task: TaskConfig, args: dict[str, Any]) -> TaskConfig:
    """The description that these settings give.

    Raises:
        BenchError: sides or a patch that cannot be.
    """
    step, whole = STRIDES[args["resolution"]], tuple(args["whole"])
    patch = args["patch"]
    if any(side % step for side in (patch, *whole)):
        raise BenchError(
            f"resolution half needs even sides, and the volumes have {whole}, patches "
            f"{patch or 'as many'}; give another --size or patch"
        )
    if patch and not LEAST_SIDE * step <= patch <= min(whole):
        raise BenchError(
            f"patch {patch}: give {LEAST_SIDE * step} to {min(whole)} voxels, as the volumes have "
            f"{whole}, or 0 for the whole volume"
        )
    sides = tuple(side // step for side in whole)
    merged = args["regions"] == "merged" or args["classes"] == 1
    background = args["foreground"][0]
    shares = [1 - background] if merged else args["foreground"]
    # of -1 and 1 with shares p: the mean square about the mean over all channels
    mean = float(np.mean([2 * p - 1 for p in shares]))
    inputs = Inputs(
        spatial=(patch // step,) * len(sides) if patch else sides,
        channels=len(shares),
        out_channels=len(shares),
        condition_channels=args["modalities"] + (len(sides) if args["coordinates"] else 0),
    )
    return dataclasses.replace(
        task,
        inputs=inputs,
        sigma_data=max(float(np.sqrt(1 - mean**2)), 1e-3),
        args=args,
        whole=sides if patch else (),
    )


@lru_cache(maxsize=4)
def _voxel_shares(cache: str) -> tuple[float, ...]:
    """The share of each class, background first, of the voxels of the train part."""
    data = load_cache(Path(cache))
    assert data.masks is not None
    counts = np.zeros(256, np.int64)
    for row in data.parts["train"]:
        counts += np.bincount(data.masks[row, 0].ravel(), minlength=256)
    highest = max(len(data.mask_names), int(max(np.max(data.masks), 1)))
    return tuple((counts[: highest + 1] / counts.sum()).tolist())


@lru_cache(maxsize=4)
def _order(seed: int, epoch: int, n: int) -> NDArray[np.int64]:
    return permutation(seed, "order", epoch, n)
