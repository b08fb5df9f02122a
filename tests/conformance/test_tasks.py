"""Every task in the table passes the suite a user's has to pass; a broken one does not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench import doors
from bench.conditions import Condition
from bench.config import TaskConfig
from bench.data.cache import CachedImages
from bench.errors import BenchError
from bench.predictions import Cases
from bench.tasks import TASKS
from bench.tasks import task_conformance as suite
from bench.tasks.generate import GenerateTask
from bench.tasks.task import Task
from bench.train.objective import Batch
from tests.fakes.restore import RestoreTask

FAKES = Path(__file__).parents[1] / "fakes"
THEIRS = [f"{FAKES}/restore.py:RestoreTask", f"{FAKES}/restore.py:GenerateTask"]
THEIRS += [f"{FAKES}/volumes.py:RestoreTask"]


@pytest.fixture(autouse=True)
def _verdicts() -> Iterator[None]:
    before = dict(doors.VERDICTS)
    yield
    doors.VERDICTS.clear()
    doors.VERDICTS.update(before)


@pytest.mark.parametrize("name", sorted(TASKS.table))
def test_the_tables_tasks_pass(name: str) -> None:
    assert suite.check(TASKS.load(name), name) == len(suite.CHECKS)


@pytest.mark.parametrize("name", THEIRS, ids=lambda name: name.rpartition("/")[2])
def test_a_users_task_comes_as_a_file(name: str) -> None:
    doors.VERDICTS.pop(name, None)
    assert issubclass(TASKS.load(name), Task)
    assert doors.VERDICTS[name] == f"task {Path(name).name} passes 4 conformance checks"


class OfVolumes(RestoreTask):
    """Refuses pictures, takes volumes: tried on those."""

    @classmethod
    def describe(cls, data: CachedImages) -> TaskConfig:
        if data.images.ndim != 5:
            raise BenchError("this task is for volumes")
        return super().describe(data)


def test_a_task_for_volumes_alone_passes() -> None:
    assert suite.check(OfVolumes, "volumes") == len(suite.CHECKS)


class OfNothing(RestoreTask):
    @classmethod
    def describe(cls, data: CachedImages) -> TaskConfig:
        raise BenchError("these data will not do")


class Incomplete(Task):
    @classmethod
    def describe(cls, data: CachedImages) -> TaskConfig:
        return RestoreTask.describe(data)


class OtherSides(RestoreTask):
    @classmethod
    def describe(cls, data: CachedImages) -> TaskConfig:
        task = super().describe(data)
        return replace(task, inputs=replace(task.inputs, spatial=(4, 4)))


class Doubles(RestoreTask):
    def batch(self, samples: Sequence[int], seed: int) -> Batch:
        return Batch(target=super().batch(samples, seed).target.double())


class NoCondition(RestoreTask):
    def batch(self, samples: Sequence[int], seed: int) -> Batch:
        return Batch(target=super().batch(samples, seed).target)


class ByPlace(RestoreTask):
    def batch(self, samples: Sequence[int], seed: int) -> Batch:
        return super().batch(range(len(samples)), seed)


class Draws(RestoreTask):
    def batch(self, samples: Sequence[int], seed: int) -> Batch:
        torch.randn(1)
        return super().batch(samples, seed)


class Unkeyed(RestoreTask):
    def cases(self, part: str) -> Cases:
        return replace(super().cases(part), key=("report",))


class OnePurpose(RestoreTask):
    def cases(self, part: str) -> Cases:
        return replace(super().cases(part), purpose="held out")


class WrongClasses(GenerateTask):
    @classmethod
    def configure(cls, task: TaskConfig, given: Any) -> TaskConfig:
        return super().configure(task, {"condition": "class"})

    def _classes(self, rows: Any) -> Any:
        return torch.full((len(rows),), 7)


class CasesByBatch(RestoreTask):
    def cases(self, part: str) -> Cases:
        plain = super().cases(part)

        def condition(places: Sequence[int]) -> Condition:
            given = plain.condition(places)
            assert given.images is not None
            return Condition(images=given.images * len(places))

        return replace(plain, condition=condition)


class Unsaid(RestoreTask):
    gives = frozenset()


class OtherTargets(RestoreTask):
    def targets(self, part: str) -> np.ndarray:
        return super().targets(part)[:, 0]


class FloatPictures(RestoreTask):
    gives = frozenset({"targets", "pictures"})


BROKEN: list[tuple[str, Any, str]] = [
    ("describes its data", 3, "must be a subclass"),
    ("describes its data", OfNothing, "takes neither pictures nor volumes: these data will"),
    ("describes its data", Incomplete, "abstract"),
    ("describes its data", OtherSides, r"inputs.spatial is \(4, 4\), the data have \(8, 8\)"),
    ("makes batches", Doubles, "float64"),
    ("makes batches", NoCondition, "condition.images is None, and inputs state"),
    ("makes batches", ByPlace, "sample 0 is another in another batch"),
    ("makes batches", Draws, "global generator"),
    ("makes batches", WrongClasses, "classes are .*7, and inputs state 2"),
    ("makes cases", Unkeyed, r"cases\(\*key\) makes others"),
    ("makes cases", OnePurpose, "share a purpose"),
    ("makes cases", CasesByBatch, "condition depends on its batch"),
    ("evaluates", Unsaid, '`gives` must name "targets"'),
    ("evaluates", OtherTargets, "targets are .* predictions"),
    ("evaluates", FloatPictures, "it gives pictures, and predictions are float32"),
]


@pytest.mark.parametrize(("rule", "broken", "verdict"), BROKEN)
def test_each_rule_catches_a_task_that_breaks_it(rule: str, broken: Any, verdict: str) -> None:
    with pytest.raises(BenchError, match=verdict) as caught:
        suite.check(broken, "broken")
    assert str(caught.value).startswith(f"task broken breaks its contract ({rule}): ")
    assert "\n" not in str(caught.value)
