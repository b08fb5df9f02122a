"""What every task must show before it is used: ours and a user's alike.

A task is made for drawn data (pictures, or volumes where it is for volumes alone) with classes,
masks and numbers, asked for batches and cases, and evaluates a predictor that answers noise.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.conditions import Condition
from bench.config import MethodConfig, canonical
from bench.data.practice_data import practice_trial, write_practice_data
from bench.errors import BenchError
from bench.metrics.throughput import Stopwatch
from bench.predictions import Cases, Predictions, in_batches
from bench.streams import normal
from bench.suite import require, run
from bench.tasks.task import Task

SPATIAL = ((8, 8), (8, 8, 8))
PARTS = ("select", "report")
SAMPLES = (3, 0, 41)  # global sample numbers, in another epoch too


def check(part: Any, name: str) -> int:
    """The number of checks that a Task class passed; BenchError naming the rule it breaks."""
    with tempfile.TemporaryDirectory(prefix="bench-task-") as folder, torch.device("cpu"):
        return run("task", name, Practice(part, Path(folder)), CHECKS)


class Practice:
    """A task's class, made for the first drawn data that it takes."""

    def __init__(self, kind: Any, folder: Path) -> None:
        self.kind, self.folder = kind, folder

    @cached_property
    def task(self) -> Task:
        refusals = []
        for spatial in SPATIAL:
            data = write_practice_data(self.folder / f"{len(spatial)}d", spatial)
            try:
                described = self.kind.configure(self.kind.describe(data), {})
            except BenchError as error:
                refusals.append(str(error))
                continue
            method = MethodConfig(backbone="small_unet", preconditioning="edm")
            task: Task = self.kind(practice_trial(described, method, str(data.path)))
            return task
        raise BenchError(f"it takes neither pictures nor volumes: {refusals[0]}")


def describes_its_data(practice: Practice) -> None:
    """A complete subclass of Task; inputs of the data's shape; plain settings."""
    kind = practice.kind
    require(
        isinstance(kind, type) and issubclass(kind, Task),
        "it must be a subclass of bench.tasks.task.Task",
    )
    task = practice.task
    sides, stated = tuple(task.real.data.images.shape[2:]), task.config.task.inputs.spatial
    require(stated == sides, f"inputs.spatial is {stated}, the data have {sides}")
    canonical([dict(task.parameters), task.config.task.args])


def makes_batches(practice: Practice) -> None:
    """Targets and conditions as `inputs` says; a sample is one thing, whatever the batch."""
    task, before = practice.task, torch.get_rng_state()
    whole, inputs = task.batch(SAMPLES, 0), task.config.task.inputs
    target = (tuple(whole.target.shape), whole.target.dtype)
    expected = ((len(SAMPLES), inputs.out_channels, *inputs.spatial), torch.float32)
    require(target == expected, f"target is {target}, not {expected}")
    _check_condition(task, whole.condition, len(SAMPLES))
    for place, sample in enumerate(SAMPLES):
        alone = task.batch([sample], 0)
        same = torch.equal(alone.target, whole.target[[place]])
        same &= _equal(alone.condition, whole.condition.rows([place]))
        require(same, f"sample {sample} is another in another batch")
    untouched = torch.equal(torch.get_rng_state(), before)
    require(untouched, "batch() draws from torch's global generator; use bench.streams")


def makes_cases(practice: Practice) -> None:
    """Cases that their key makes again, each with a condition of its own."""
    task = practice.task
    for part in PARTS:
        cases = task.cases(part)
        again = task.cases(*cases.key)
        names = [(c.key, c.purpose, c.count, c.samples) for c in (cases, again)]
        require(names[0] == names[1], f"cases(*key) makes others: {names[1]}, not {names[0]}")
        require(cases.count > 0, f"{part} has no case")
        whole, last = cases.condition(range(cases.count)), cases.count - 1
        _check_condition(task, whole, cases.count)
        same = _equal(again.condition([last]), whole.rows([last]))
        require(same, "a case's condition depends on its batch")
    shared = len({task.cases(part).purpose for part in PARTS}) == 1
    require(not shared, "select and report share a purpose, hence their draws")


def evaluates(practice: Practice) -> None:
    """Finite numbers, the same twice; targets in the form of the predictions."""
    task = practice.task
    for part in PARTS:
        cases, targets = task.cases(part), task.targets(part)
        values = _Noise(task).predict(cases).values
        asked = cases.count * cases.samples
        require(len(values) == asked, f"keep() makes {len(values)} of {asked} predictions")
        declared = "targets" in task.gives
        require((targets is not None) == declared, '`gives` must name "targets" if it has them')
        if targets is not None:
            forms = [(array.shape, array.dtype) for array in (targets, values)]
            require(forms[0] == forms[1], f"targets are {forms[0]}, predictions {forms[1]}")
        pictures = "pictures" not in task.gives or values.dtype == np.uint8
        require(pictures, f"it gives pictures, and predictions are {values.dtype}")
        first, again = (task.evaluate(_Noise(task), part, Stopwatch()) for _ in range(2))
        require(first.metrics == again.metrics, "two evaluations of one predictor differ")
        require(math.isfinite(first.value), f"the value is {first.value}")


CHECKS: Mapping[str, Callable[[Any], None]] = {
    "describes its data": describes_its_data,
    "makes batches": makes_batches,
    "makes cases": makes_cases,
    "evaluates": evaluates,
}


def _check_condition(task: Task, condition: Condition, count: int) -> None:
    inputs = task.config.task.inputs
    images, numbers = inputs.condition_channels, inputs.vector_dim
    stated = {
        "images": (count, images, *inputs.spatial) if images else None,
        "vector": (count, numbers) if numbers else None,
        "classes": (count,) if inputs.n_classes else None,
    }
    for name, shape in stated.items():
        tensor = getattr(condition, name)
        seen = None if tensor is None else tuple(tensor.shape)
        require(seen == shape, f"condition.{name} is {seen}, and inputs state {shape}")
    if condition.classes is not None:
        low, high = int(condition.classes.min()), int(condition.classes.max())
        known = -1 <= low <= high < inputs.n_classes
        require(known, f"classes are {low} to {high}, and inputs state {inputs.n_classes}")


def _equal(one: Condition, other: Condition) -> bool:
    fields = ("images", "vector", "classes")
    pairs = [(getattr(one, field), getattr(other, field)) for field in fields]
    return all(a is b or torch.equal(a, b) for a, b in pairs)


class _Noise:
    """A predictor whose answers are noise, and whose D is its input."""

    nets: tuple[Any, ...] = ()

    def __init__(self, task: Task) -> None:
        self.inputs, self.data_range = task.config.task.inputs, task.config.task.data_range
        self.denoise: Any = lambda x, sigma, condition: x

    def predict(self, cases: Cases) -> Predictions:
        return self.predict_some(cases, range(cases.count))

    def predict_some(self, cases: Cases, places: range) -> Predictions:
        shape = (self.inputs.out_channels, *self.inputs.spatial)

        def answer(numbers: Sequence[int]) -> Tensor:
            return torch.from_numpy(normal(0, cases.purpose, numbers, shape))

        return in_batches(cases, places, 4, answer, self.data_range, lambda: 1)
