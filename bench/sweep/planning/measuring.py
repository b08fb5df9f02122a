"""What a sweep measures: its workload's metrics, those asked for, and what every trial has."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from bench.errors import BenchError
from bench.metrics import stability, throughput
from bench.metrics.throughput import TRAINING_GB
from bench.sweep.cost.equal import MEMORY
from bench.sweep.record.trial_measures import MEASURES as TRIAL_MEASURES
from bench.sweep.record.trial_measures import PREDICTED_TRAINING_GB, TUNED
from bench.tasks.task import Task, offered_metrics
from bench.workloads.workload import Workload
from leaderboards.measures import Measure

USUAL = "randconv"  # extractor
ASKED = 2  # a drop that few columns are below


def metrics_of(
    workload: Workload, asked: Sequence[str], masks: bool, extractor: str
) -> tuple[str, ...]:
    """The workload's, as far as its data allow, and those that were asked for beside them.

    A second judge on the extractor that the score itself is made with is one on the usual instead.

    Raises:
        BenchError: one of those is measured anyway.
    """
    score = f"{workload.metrics[0]}:{extractor}"
    own = [f"fd:{USUAL}" if name == score else name for name in workload.metrics]
    for name in {*own, score}.intersection(asked):
        raise BenchError(f"--metric {name}: {workload.name} measures it without being asked")
    return (*offered_metrics(own, have_masks=masks), *asked)


def keys_of_asked(task: Task, asked: Sequence[str], equal_kind: str) -> tuple[str, ...]:
    """The keys of what the metrics that were asked for measure; and of memory, measured and
    predicted, where that is what trials have alike."""
    metrics = task.metrics[len(task.metrics) - len(asked) :]
    memory = (TRAINING_GB, PREDICTED_TRAINING_GB) if equal_kind == MEMORY else ()
    return (*(f"eval/{measure.key}" for m in metrics for measure in m.measures), *memory)


def measures_of(evaluated: Sequence[Measure], *, own: bool) -> tuple[Measure, ...]:
    """All that is measured of a trial: what the task evaluates, then what every trial has.

    own: whether entries are also evaluated with a sampling of their own.
    """
    final = [dataclasses.replace(m, key=f"eval/{m.key}") for m in evaluated]
    chosen = [
        dataclasses.replace(
            m,
            key=f"own/{m.key}",
            title=f"{m.title} own",
            meaning="with the entry's own sampling; no verdict rests on it",
            reference=None,
            drop=max(m.drop, 1),
        )
        for m in evaluated
        if own and m.direction != "none"
    ]
    tuned = dataclasses.replace(
        evaluated[0],
        key=TUNED,
        title=f"{evaluated[0].title} tuned",
        meaning="sampled as bench tune chose on select; no verdict rests on it",
        reference=None,
        live=False,
        drop=1,
    )
    return (*final, *chosen, tuned, *stability.MEASURES, *throughput.MEASURES, *TRIAL_MEASURES)


def kept_on_screen(measures: Sequence[Measure], asked: Sequence[str]) -> tuple[Measure, ...]:
    """The measures, those with these keys to be dropped from a narrow screen among the last."""
    return tuple(
        dataclasses.replace(m, drop=min(m.drop, ASKED)) if m.key in asked else m for m in measures
    )


def notes_of_metrics(workload: Workload, taken: Sequence[str]) -> list[str]:
    """Which of a workload's metrics its data cannot have."""
    left_out = [name for name in workload.metrics if name not in taken and ":" not in name]
    text = "these data have no boxes or masks, which it needs"
    return [f"metric {name} is left out: {text}" for name in left_out]
