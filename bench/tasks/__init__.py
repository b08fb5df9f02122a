"""What may be asked of a model. A task is a file with a class here and one line in TASKS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.doors import Family

if TYPE_CHECKING:
    from bench.config import TrialConfig
    from bench.tasks.task import Task

TASKS = Family(
    kind="task",
    table={
        "generate": "bench.tasks.generate:GenerateTask",
        "restore": "bench.tasks.restore:RestoreTask",
        "segment": "bench.tasks.segment:SegmentTask",
    },
    suite="bench.tasks.task_conformance:check",
)


def build_task(config: TrialConfig) -> Task:
    """The task of a trial."""
    task: Task = TASKS.load(config.task.kind)(config)
    return task
