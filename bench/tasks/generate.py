"""The generation task: draw pictures like those of the data set, of a class where one is asked for.

At a rung the pictures are compared with the `select` part; at the end fresh ones, of another
stream, once with `report`. With `condition = "class"` a picture is drawn for the class of each
real picture it is compared with, and in training some classes are left out, so that guidance can
ask for the unconditional. So with `condition` the name of a number that the data have of every
picture (EF): the network is given it in standard deviations of the train part from its mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backbones.inputs import Inputs
from bench.conditions import Condition
from bench.config import TaskConfig
from bench.data.cache import CachedImages
from bench.errors import BenchError, unknown
from bench.metrics.memorisation import matched_indices
from bench.metrics.metric import MASKS, Evidence
from bench.pictures import save_grid
from bench.predictions import Cases, Predictions, Predictor
from bench.streams import permutation, uniform
from bench.tasks.augment import LABELS, augmented
from bench.tasks.colour_augment import COLOURS, recoloured
from bench.tasks.real_references import references_of
from bench.tasks.standardising import STANDARDS, Standard, pixels_of
from bench.tasks.task import Task
from bench.train.objective import Batch
from leaderboards.references import Reference

SHOWN = 64  # pictures in a grid
CONDITIONS = ("none", "class")


class GenerateTask(Task):
    """Generate images like those of the data set."""

    gives: ClassVar[frozenset[str]] = frozenset({"pictures", MASKS})  # masks where data have some
    parameters: ClassVar[Mapping[str, Any]] = {
        "condition": "none",  # none | class | the name of a number that the data have (ef)
        "class_dropout": 0.1,  # share of training pictures whose class is left out
        "augment": 0.0,  # probability of each augmentation; its labels are fed to the network
        "augment_colour": 0.0,  # of each change of colour, its labels too
        "standardise": "none",  # none | set | image: see bench.tasks.standardising
    }

    same_for_all: ClassVar[frozenset[str]] = frozenset({"condition", "standardise"})

    @classmethod
    def describe(cls, data: CachedImages) -> TaskConfig:
        channels, *spatial = data.images.shape[1:]
        inputs = Inputs(spatial=tuple(spatial), channels=channels, out_channels=channels)
        return TaskConfig(
            kind="generate",
            inputs=inputs,
            sigma_data=float(data.sigma_data),
            args={
                **cls.parameters,
                "n_labels": len(data.label_names),
                "values": [name.lower() for name in data.vector_names],
                "pixels": pixels_of(data),
            },
        )

    @classmethod
    def configure(cls, task: TaskConfig, given: Mapping[str, Any]) -> TaskConfig:
        for key in given:
            if key not in cls.parameters:
                raise unknown(f"parameter of task {task.kind}", key, cls.parameters)
        args = {**cls.parameters, **task.args, **given}
        values = args.get("values", ())
        if args["condition"] not in (*CONDITIONS, *values):
            raise unknown("condition", str(args["condition"]), (*CONDITIONS, *values))
        if args["standardise"] not in STANDARDS:
            raise unknown("standardise", str(args["standardise"]), STANDARDS)
        for name in ("class_dropout", "augment", "augment_colour"):
            share = args[name]
            is_number = isinstance(share, int | float) and not isinstance(share, bool)
            if not is_number or not 0 <= share <= 1:
                raise BenchError(f"{name} is a probability, 0 to 1, got {args[name]!r}")
        n_classes = args.get("n_labels", 0) if args["condition"] == "class" else 0
        if args["condition"] == "class" and n_classes < 2:
            raise BenchError(
                "condition class: the data have no labels of at least two classes; where folders "
                "or file names say them, give --label-by 'A|B' (bench data FOLDER names folders "
                "that could be classes), and for pictures of any kind --set condition=none --set "
                "guidance=none"
            )
        inputs = task.inputs
        standard = Standard.of(args)
        numbers = len(_labels_of(args)) + (args["condition"] in values)
        sizes = {"n_classes": n_classes, "vector_dim": numbers}
        return TaskConfig(
            kind=task.kind,
            inputs=Inputs(
                spatial=inputs.spatial,
                channels=inputs.channels,
                out_channels=inputs.out_channels,
                **sizes,
            ),
            data_range=standard.network_range if standard else task.data_range,
            sigma_data=1.0 if standard else task.sigma_data,
            args={key: value for key, value in args.items() if key not in _unused(args)},
        )

    def protocol(self) -> dict[str, Any]:
        """Pictures of given classes are another score than pictures of any."""
        condition = self._settings["condition"]
        named = {} if condition == "none" else {"condition": condition}
        if self._standard is not None:
            named["standardise"] = self._settings["standardise"]
        return {**super().protocol(), **named}

    @property
    def _train(self) -> NDArray[np.int64]:
        return self.real.data.parts["train"]

    @cached_property
    def _standard(self) -> Standard | None:
        return Standard.of(self._settings)

    @property
    def _settings(self) -> dict[str, Any]:
        return {**self.parameters, **self.config.task.args}

    def batch(self, samples: Sequence[int], seed: int) -> Batch:
        settings, n = self._settings, len(self._train)
        rows = self._train[[_permutation(seed, k // n, n)[k % n] for k in samples]]
        target = self.real.images_at(rows)
        vector: Tensor | None = None
        if settings["augment"]:
            target, vector = augmented(target, float(settings["augment"]), samples, seed)
        if settings["augment_colour"]:
            share = float(settings["augment_colour"])
            target, colours = recoloured(target, share, samples, seed)
            vector = colours if vector is None else torch.cat([vector, colours], dim=1)
        if self._standard is not None:
            target = self._standard.to_network(target)
        classes, value = self._classes(rows), self._value(rows)
        if classes is not None or value is not None:
            drawn = uniform(seed, "class dropout", samples) < float(settings["class_dropout"])
            dropped = torch.from_numpy(drawn)
            classes = None if classes is None else torch.where(dropped, -1, classes)
            value = None if value is None else torch.where(dropped[:, None], 0.0, value)
        if value is not None:
            vector = value if vector is None else torch.cat([vector, value], dim=1)
        return Batch(target=target, condition=Condition(classes=classes, vector=vector))

    def cases(self, part: str) -> Cases:
        count = self.measure.n_report if part == "report" else self.measure.n_select
        real = self.real.rows(part, count)  # those it is compared with, as far as they go
        standard = self._standard

        def condition(places: Sequence[int]) -> Condition:
            """The classes of the part's own pictures, in turn; augmentation labels of none."""
            rows = real[np.asarray(places, np.int64) % len(real)]
            return self.condition_of(rows)

        return Cases(
            key=(part,),
            purpose=f"sample/{part}",
            count=count,
            keep=to_pictures if standard is None else lambda x: to_pictures(standard.to_pixels(x)),
            condition=condition,
        )

    def evidence(self, predictor: Predictor, part: str, predictions: Predictions) -> Evidence:
        standard, denoise = self._standard, predictor.denoise
        return Evidence(
            part=part,
            real=self.real,
            predictions=predictions,
            denoise=denoise if standard is None or denoise is None else standard.denoiser(denoise),
            reconstruct=getattr(predictor, "reconstruct", None),
            real_condition=self.condition_of,
        )

    def references(self) -> tuple[Reference, ...]:
        return references_of(self.real, self.metrics, self.measure.n_report)

    def pictures(self, predictions: Predictions) -> NDArray[np.uint8]:
        return predictions.values[:SHOWN]

    def save_reference(self, path: Path) -> None:
        data = self.real.data
        save_grid(self.real.pictures_at(matched_indices(data.parts["report"], SHOWN)), path)

    def condition_of(self, rows: NDArray[np.int64]) -> Condition:
        """What a picture is drawn for, of each of these real ones; augmentation labels of none."""
        labels = len(_labels_of(self._settings))
        vector, value = torch.zeros(len(rows), labels), self._value(rows)
        vector = vector if value is None else torch.cat([vector, value], dim=1)
        return Condition(classes=self._classes(rows), vector=vector if vector.shape[1] else None)

    def _value(self, rows: NDArray[np.int64]) -> Tensor | None:
        """float32 [n, 1]: the number that pictures are drawn for; 0 where it is not known."""
        place = self._value_place
        vector = self.real.data.vector
        if place is None or vector is None:
            return None
        known = vector[self._train, place]
        known = known[np.isfinite(known)]
        scaled = (vector[rows, place] - known.mean()) / max(float(known.std()), 1e-6)
        return torch.from_numpy(np.nan_to_num(scaled, nan=0.0).astype(np.float32))[:, None]

    @property
    def _value_place(self) -> int | None:
        """Its column among the numbers of the data; None: pictures are drawn for none."""
        names = [name.lower() for name in self.real.data.vector_names]
        condition = self._settings["condition"]
        return names.index(condition) if condition in names else None

    def _classes(self, rows: NDArray[np.int64]) -> Tensor | None:
        if self._settings["condition"] != "class":
            return None
        labels = self.real.data.labels
        assert labels is not None
        return torch.from_numpy(labels[rows].astype(np.int64))


def _labels_of(args: Mapping[str, Any]) -> tuple[str, ...]:
    """The augmentations whose labels the network is given."""
    return (*(LABELS if args["augment"] else ()), *(COLOURS if args["augment_colour"] else ()))


def _unused(args: Mapping[str, Any]) -> set[str]:
    """Settings that came later, where they change nothing: entries recorded before keep theirs."""
    at_rest = {key for key in ("augment_colour",) if not args[key]}
    at_rest |= {"values"} if args["condition"] in CONDITIONS else set()
    return at_rest | ({"standardise", "pixels"} if args["standardise"] == "none" else set())


def to_pictures(x: Tensor) -> NDArray[np.uint8]:
    """Float [n, C, *spatial] in [-1, 1], clipped -> uint8 pictures."""
    unit = (x.clamp(-1, 1) + 1) / 2
    return (unit * 255).round().to(torch.uint8).cpu().numpy()


@lru_cache(maxsize=4)
def _permutation(seed: int, epoch: int, n: int) -> NDArray[np.int64]:
    return permutation(seed, "order", epoch, n)
